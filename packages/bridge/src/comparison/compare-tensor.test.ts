import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareTensor, relativeDifference, rootMeanSquare, shareOfTolerance } from "./compare-tensor.ts";

const limits = { scale: 2, tolerance: 0.5 };
const pairs = fc.array(fc.tuple(fc.float({ noNaN: true }), fc.float({ noNaN: true })), { minLength: 1, maxLength: 30 });

describe("compareTensor", () => {
  it("finds the element that differs most", () => {
    fc.assert(
      fc.property(pairs, (values) => {
        const finite = values.filter((pair) => pair.every(Number.isFinite));
        fc.pre(finite.length > 0);
        const comparison = compareTensor(
          "t",
          finite.map(([a]) => a),
          finite.map(([, b]) => b),
          limits,
        );
        const distances = finite.map(([a, b]) => Math.abs(a - b));
        expect(comparison).toMatchObject({ name: "t", elements: finite.length, ...limits });
        expect(comparison.difference).toBe(Math.max(...distances));
        expect(distances[comparison.index]).toBe(comparison.difference);
        expect([comparison.ours, comparison.theirs]).toEqual(finite[comparison.index]);
        expect(comparison.equal).toBe(distances.every((distance) => distance <= 0.5));
      }),
    );
  });

  it("takes a number that is missing or not a number for the worst, wherever it stands", () => {
    fc.assert(
      fc.property(pairs, fc.nat(), fc.boolean(), (values, place, isOurs) => {
        const sides = [values.map(() => 1), values.map(() => 1)];
        const index = place % values.length;
        sides[isOurs ? 0 : 1]![index] = Number.NaN;
        const comparison = compareTensor("t", sides[0]!, sides[1]!, limits);
        expect(comparison).toMatchObject({ difference: Number.NaN, index, equal: false });
        expect(shareOfTolerance(comparison)).toBe(Number.POSITIVE_INFINITY);
      }),
    );
    expect(compareTensor("t", [1, 2], [1, 2, 3], limits)).toMatchObject({ index: 2, theirs: 3, equal: false });
    expect(compareTensor("t", [1, 2, 3], [1], limits)).toMatchObject({ elements: 3, index: 1, ours: 2, equal: false });
    const infinite = [Number.POSITIVE_INFINITY];
    expect(compareTensor("t", infinite, infinite, limits).equal).toBe(false);
    expect(compareTensor("t", infinite, [0], { scale: 1, tolerance: 1e300 }).equal).toBe(false);
  });

  it("is not equal when the tolerance is not a number", () => {
    expect(compareTensor("t", [1], [1.5], { scale: Number.NaN, tolerance: Number.NaN }).equal).toBe(false);
  });

  it("takes the same numbers as equal under tolerance 0", () => {
    const comparison = compareTensor("t", [1, 2], [1, 2], { scale: 0, tolerance: 0 });
    expect(comparison.equal).toBe(true);
    expect([shareOfTolerance(comparison), relativeDifference(comparison)]).toEqual([0, 0]);
  });
});

it("relates a difference to scale and tolerance", () => {
  const comparison = compareTensor("t", [1, 5], [1, 4], { scale: 4, tolerance: 0.5 });
  expect(relativeDifference(comparison)).toBe(0.25);
  expect(shareOfTolerance(comparison)).toBe(2);
});

it("takes the root of the mean of squares", () => {
  expect(rootMeanSquare([3, -4])).toBe(Math.sqrt(12.5));
  expect(rootMeanSquare([])).toBe(0);
});
