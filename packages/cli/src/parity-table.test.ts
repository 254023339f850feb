import { describe, expect, it } from "vitest";
import { describeStage, parityHeadings, parityRow } from "./parity-table.ts";
import { sampleParityStep, sampleTensor } from "./testing/sample-events.ts";

it("sets both losses and the differences below their headings", () => {
  const [headings, row] = [parityHeadings(), parityRow(sampleParityStep)];
  expect(row).toHaveLength(headings.length);
  expect(headings.length).toBeLessThan(78);
  expect(row.trim().split(/ {2,}/)).toEqual(["1", "1.57860000", "1.57860001", "6e-9", "3.1e-6", "1e-4", "equal"]);
  expect(parityRow({ ...sampleParityStep, equal: false })).toMatch(/ NOT EQUAL$/);
});

describe("describeStage", () => {
  it("tells where, both numbers, and how near the tolerance", () => {
    expect(describeStage({ stage: "parameter-gradients", worst: sampleTensor, equal: true })).toEqual({
      place: "parameter gradients, encoder.layer.0.output.dense.weight[3]",
      numbers: "0.12345678 here, 0.12345703 in Python, at 20 % of its tolerance",
    });
  });

  it("tells how far beyond the tolerance", () => {
    const worst = { ...sampleTensor, name: "loss", difference: 1.25e-4, equal: false };
    expect(describeStage({ stage: "loss", worst, equal: false })).toEqual({
      place: "loss",
      numbers: "0.12345678 here, 0.12345703 in Python, 1e2 times its tolerance",
    });
    const token = { ...sampleTensor, name: "column 0", ours: 7, theirs: -1, difference: 8, tolerance: 0, equal: false };
    expect(describeStage({ stage: "tokens", worst: token, equal: false })).toEqual({
      place: "token ids, column 0[3]",
      numbers: "7 here, -1 in Python, which must be the same exactly",
    });
  });
});
