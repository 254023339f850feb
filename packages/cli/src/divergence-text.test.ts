import { nearestToLimit } from "@gradbank/bridge";
import { describe, expect, it } from "vitest";
import { describeDivergence, describeNearest } from "./divergence-text.ts";
import { equalReport, sampleDivergence, sampleWalk } from "./testing/sample-parity.ts";

describe("describeDivergence", () => {
  it("tells step, stage, and the worst tensor with its worst element", () => {
    expect(describeDivergence(sampleDivergence)).toEqual([
      "First difference: step 2, parameter gradients",
      "  encoder.layer.0.output.dense.weight: 0.125 at [1, 1] (ours 0.125, reference 0.25), 5.1e5 x noise",
    ]);
  });

  it("walks through the encoder to the first module that differs", () => {
    const lines = describeDivergence({ ...sampleDivergence, stage: "embeddings", activations: sampleWalk }).slice(2);
    expect(lines.slice(0, -1)).toEqual([
      "  Through the encoder to the first module that differs, in multiples of the noise:",
      "    1 module before: equal",
      "    attention.self.query    0.8",
      "    attention.self.key      0.8",
      "    attention.self.value    0.8",
      "    attention.output.dense  42!!",
    ]);
    expect(lines.at(-1)).toMatch(/^ {4}attention\.output\.dense: .*ours 0\.25, reference 0\.25/);
  });

  it("begins with the first module where that one differs already, and counts none before", () => {
    const lines = describeDivergence({ ...sampleDivergence, activations: sampleWalk.slice(-1) });
    expect(lines[3]).toBe("    attention.output.dense  42!!");
  });

  it("says when no module differs by itself", () => {
    const lines = describeDivergence({ ...sampleDivergence, activations: sampleWalk.slice(0, -1) });
    expect(lines[2]).toBe("  Through the encoder: each of 4 modules by itself is equal.");
  });
});

it("tells where two equal sides were nearest to a difference", () => {
  expect(describeNearest(nearestToLimit(equalReport)!)).toBe(
    "parameter gradients of step 1, at 40 % (encoder.layer.0.output.dense.weight)",
  );
});
