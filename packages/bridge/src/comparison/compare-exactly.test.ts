import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareExactly } from "./compare-exactly.ts";
import { tensorComparisonSchema } from "./tensor-comparison.ts";

const number = fc.oneof(fc.constantFrom(0, -0, 1, 2, Number.NaN, Number.POSITIVE_INFINITY), fc.float());
const pairs = fc.array(fc.tuple(number, number, fc.boolean()), { maxLength: 12 });

describe("compareExactly", () => {
  it("agrees with the bits of every number", () => {
    fc.assert(
      fc.property(pairs, fc.boolean(), (drawn, bits) => {
        const ours = drawn.map(([our]) => our);
        const reference = drawn.map(([our, other, same]) => (same ? our : other));
        const comparison = compareExactly({ name: "t", shape: [ours.length], ours, reference, bits });
        const different = [...ours.keys()].filter((index) => !Object.is(ours[index], reference[index]));
        expect(tensorComparisonSchema.parse(comparison)).toEqual(comparison);
        expect(comparison.equal).toBe(different.length === 0);
        expect(comparison.mismatched).toBe(different.length);
        expect(comparison.reason).toBe(different.length === 0 ? undefined : bits ? "bits" : "value");
        expect([comparison.multiple, comparison.limit]).toEqual([different.length === 0 ? 0 : null, 0]);
        if (different.length > 0) expect(different).toContain(comparison.worst!.index);
        const distances = different.map((index) => Math.abs(ours[index]! - reference[index]!));
        if (distances.every((distance) => Number.isFinite(distance) && distance > 0) && distances.length > 0)
          expect(comparison.worst!.difference).toBe(Math.max(...distances));
      }),
    );
  });

  it("says both values where the numbers cannot", () => {
    const detail = (ours: number, reference: number) =>
      compareExactly({ name: "t", shape: [1], ours: [ours], reference: [reference] }).detail;
    expect(detail(-0, 0)).toBe("ours -0, reference 0");
    expect(detail(Number.NaN, 1)).toBe("ours NaN, reference 1");
    expect(detail(1, 2)).toBeUndefined();
  });

  it("takes whole tensors of no and of one number", () => {
    expect(compareExactly({ name: "t", shape: [0, 4], ours: [], reference: [] })).toMatchObject({
      equal: true,
      elements: 0,
      normRatio: null,
    });
    expect(compareExactly({ name: "t", shape: [], ours: [3], reference: [5] })).toMatchObject({
      equal: false,
      worst: { index: 0, position: [], ours: 3, reference: 5, difference: 2 },
      rms: 2,
      normRatio: 0.6,
    });
  });

  it("tells different shapes from different numbers", () => {
    const shapes = { name: "t", shape: [2, 3], ours: new Int32Array(6), reference: new Int32Array(6) };
    expect(compareExactly({ ...shapes, ourShape: [3, 2] })).toMatchObject({
      equal: false,
      reason: "shape",
      detail: "our shape [3, 2], reference [2, 3]",
    });
    expect(compareExactly({ ...shapes, ours: [1], ourShape: [1] }).reason).toBe("shape");
    expect(compareExactly({ ...shapes, ours: [1] }).reason).toBe("shape");
    expect(() => compareExactly({ ...shapes, shape: [7] })).toThrow(
      expect.objectContaining({ code: "invalid-tensor", facts: expect.objectContaining({ expected: 7, actual: 6 }) }),
    );
    expect(() => compareExactly({ ...shapes, ourShape: [7] })).toThrow(
      expect.objectContaining({ code: "invalid-tensor" }),
    );
  });
});
