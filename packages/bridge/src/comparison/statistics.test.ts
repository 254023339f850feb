import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  euclideanNorm,
  float32Ulp,
  floats,
  largestMagnitude,
  Percentiles,
  rootMeanSquare,
  ulpDistance,
} from "./statistics.ts";

const numbers = fc.array(fc.double({ noNaN: true, min: -1e30, max: 1e30 }), { maxLength: 50 });

it("takes norms, root mean squares and magnitudes as the formulas do", () => {
  fc.assert(
    fc.property(numbers, (values) => {
      const expected = Math.hypot(...values);
      // Squares of numbers below 1e-150 vanish.
      expect(Math.abs(euclideanNorm(values) - expected)).toBeLessThanOrEqual(1e-12 * expected + 1e-150);
      expect(rootMeanSquare(values)).toBe(euclideanNorm(values) / Math.sqrt(Math.max(values.length, 1)));
      expect(largestMagnitude(values)).toBe(Math.max(0, ...values.map(Math.abs)));
    }),
  );
  expect([euclideanNorm([]), rootMeanSquare([]), largestMagnitude([])]).toEqual([0, 0, 0]);
  expect(rootMeanSquare([3, -4])).toBeCloseTo(Math.sqrt(12.5), 14);
  expect(largestMagnitude([1, Number.NaN, 2])).toBeNaN();
  expect(largestMagnitude([1, Number.NEGATIVE_INFINITY])).toBe(Number.POSITIVE_INFINITY);
});

it("copies no typed array", () => {
  const values = new Float32Array(3);
  expect(floats(values)).toBe(values);
  expect([...floats([1, 2])]).toEqual([1, 2]);
});

describe("float32Ulp", () => {
  /** The float32 after |value|, by adding one to its bits. */
  const next = (value: number): number => {
    const view = new DataView(new ArrayBuffer(4));
    view.setFloat32(0, Math.abs(value));
    view.setUint32(0, view.getUint32(0) + 1);
    return view.getFloat32(0);
  };

  it("is the distance to the next float32", () => {
    const largest = 2 ** 127 * (2 - 2 ** -23);
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        fc.pre(Math.abs(value) < largest);
        expect(float32Ulp(value)).toBe(next(value) - Math.abs(value));
      }),
    );
    expect(float32Ulp(1)).toBe(2 ** -23);
    expect(float32Ulp(-1.999)).toBe(2 ** -23);
    expect([0, -0, 2 ** -149, 2 ** -127, 2 ** -126].map(float32Ulp)).toEqual(new Array(5).fill(2 ** -149));
    expect([largest, 1e300, Number.POSITIVE_INFINITY, Number.NaN].map(float32Ulp)).toEqual(new Array(4).fill(2 ** 104));
  });

  it("measures distances at the reference's magnitude", () => {
    expect(ulpDistance(1 + 3 * 2 ** -23, 1)).toBe(3);
    expect(ulpDistance(1, 2)).toBe(2 ** 22);
    expect(ulpDistance(-(2 ** -149), 2 ** -149)).toBe(2);
    expect(ulpDistance(1 + 2 ** -25, 1)).toBe(0.25);
  });
});

describe("Percentiles", () => {
  it("counts what sorting finds, to 3 % from below", () => {
    const sizes = fc.array(fc.double({ noNaN: true, min: 0, max: 1e30 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(sizes, fc.double({ noNaN: true, min: 0, max: 1 }), (values, share) => {
        const percentiles = new Percentiles();
        for (const value of values) percentiles.add(value);
        const sorted = values.toSorted((a, b) => a - b);
        const expected = sorted[Math.max(Math.ceil(share * values.length), 1) - 1]!;
        expect(percentiles.largest).toBe(sorted.at(-1));
        expect(percentiles.at(share)).toBeLessThanOrEqual(Math.max(Math.fround(expected), expected));
        expect(percentiles.at(share)).toBeGreaterThanOrEqual(expected * (1 - 2 ** -5) - 2 ** -131);
      }),
    );
  });

  it("keeps what is beyond float32, and is 0 for no numbers", () => {
    const percentiles = new Percentiles();
    expect([percentiles.at(0.5), percentiles.largest]).toEqual([0, 0]);
    percentiles.add(1e200);
    expect([percentiles.at(0.5), percentiles.largest]).toEqual([1e200, 1e200]);
    percentiles.add(0);
    percentiles.add(0.5);
    expect(percentiles.at(0.5)).toBe(0.5);
    expect(percentiles.at(0.1)).toBe(0);
  });
});
