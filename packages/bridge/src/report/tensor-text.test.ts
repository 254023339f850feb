import { expect, it } from "vitest";
import { explain } from "../comparison/explain.ts";
import type { TensorComparison } from "../comparison/tensor-comparison.ts";
import { distanceText, stageLine, tensorCells, tensorColumns, tensorLine, worstFirst } from "./tensor-text.ts";

const tensor: TensorComparison = {
  name: "batch0.column0",
  shape: [2, 384],
  equal: false,
  reason: "noise",
  sketched: false,
  zero: false,
  worst: { index: 401, position: [1, 17], ours: 0.123456789, reference: -0.5, difference: 0.623456789 },
  worstRelative: { index: 3, position: [0, 3], ours: 1, reference: 0.5, difference: 0.5 },
  relative: 1,
  rms: 0.25,
  scale: 0.125,
  mismatched: 12,
  elements: 768,
  cosine: 0.5,
  normRatio: 2,
  ulp: { p50: 1, p99: 20, max: 4e6 },
  noise: { max: 1e-7, rms: 2.5e-8 },
  multiple: 42.123,
  limit: 8,
  requiredTolerance: 1.23e-2,
};
const bare: TensorComparison = {
  name: "optimizer.eps",
  shape: [],
  equal: false,
  reason: "value",
  detail: "1e-8 here, 1e-6 in the reference",
  sketched: true,
  zero: true,
  rms: null,
  scale: null,
  elements: 1,
  normRatio: null,
  limit: 1,
  requiredTolerance: null,
};

it("tells everything of a tensor in one line", () => {
  expect(tensorLine(tensor)).toBe(
    "batch0.column0 [2, 384]: beyond rounding; 42.1 times the noise floor (limit 8); " +
      "worst at [1, 17]: ours 0.123456789, reference -0.5, difference 0.623; 12 of 768 (1.6 %) beyond the limit; " +
      "cosine 0.5; norm ratio 2; ULP p50 1, p99 20, max 4e6; would pass with tolerance 0.0123",
  );
  expect(tensorLine(bare)).toBe(
    "optimizer.eps []: other value: 1e-8 here, 1e-6 in the reference; norm ratio reference is zero; would pass with tolerance none",
  );
});

it("tells it in a cell for each heading", () => {
  expect(Object.fromEntries(tensorColumns.map((column, index) => [column, tensorCells(tensor)[index]]))).toEqual({
    Tensor: "batch0.column0",
    Shape: "[2, 384]",
    Result: "beyond rounding",
    Multiple: "42.1",
    Limit: "8",
    "Worst at": "[1, 17]",
    Ours: "0.123456789",
    Reference: "-0.5",
    Difference: "0.623",
    "Worst relative": "1 at [0, 3]",
    Mismatched: "12 of 768 (1.6 %)",
    Cosine: "0.5",
    "Norm ratio": "2",
    "ULP 50 % / 99 % / max": "1 / 20 / 4e6",
    "Rms of difference": "0.25",
    "Rms of reference": "0.125",
    "Noise max / rms": "1e-7 / 2.5e-8",
    "Passes with": "0.0123",
  });
  expect(tensorCells(bare)).toHaveLength(tensorColumns.length);
  expect(tensorCells(bare)[2]).toBe(
    "other value: 1e-8 here, 1e-6 in the reference; by its sketch; zero but for rounding",
  );
});

it("puts those that differ first, and the farthest of them before the others", () => {
  const { multiple: _, ...unmeasured } = tensor;
  const tensors: TensorComparison[] = [
    { ...tensor, name: "equal", equal: true, multiple: 7 },
    { ...tensor, name: "near", multiple: 9 },
    { ...tensor, name: "far", multiple: 1e5 },
    { ...tensor, name: "infinite", multiple: null },
    { ...unmeasured, name: "shape", reason: "shape" },
    { ...tensor, name: "same", equal: true, multiple: 0, limit: 0 },
  ];
  expect(worstFirst(tensors).map(({ name }) => name)).toEqual(["infinite", "shape", "far", "near", "equal", "same"]);
});

it("tells in one line what is wrong with a stage", () => {
  const stage = { stage: "embeddings", equal: false, multiple: 42.123, worst: "batch0.column0", compared: 2 } as const;
  expect(stageLine({ ...stage, tensors: [tensor] })).toBe(
    `embeddings: 1 of 2 tensors differs; worst is ${explain(tensor)}`,
  );
  expect(stageLine({ ...stage, tensors: [] })).toBe("embeddings: 0 of 2 tensors differ; worst is batch0.column0");
});

it("names the fault that a ratio of norms shows, where both point in one direction", () => {
  const ratio = (given: Partial<TensorComparison>) =>
    tensorCells({ ...tensor, ...given })[tensorColumns.indexOf("Norm ratio")];
  expect(ratio({ cosine: 1 })).toBe("2, a factor of 2");
  expect([ratio({ cosine: 1, equal: true }), ratio({ normRatio: null })]).toEqual(["2", "reference is zero"]);
});

it("has no multiple where it is infinite, or where both were to be the same", () => {
  expect(distanceText(tensor)).toBe("42.1 times the noise floor");
  const { noise: _, ...unmeasured } = tensor;
  expect(distanceText(unmeasured)).toBe("42.1 times the tolerance");
  expect([distanceText({ ...tensor, multiple: null }), distanceText({ ...tensor, multiple: 0, limit: 0 })]).toEqual([
    undefined,
    undefined,
  ]);
});
