import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  addDimensions,
  broadcastShapes,
  canonicalDimension,
  type Dimension,
  dimensionTerms,
  multiplyDimensions,
  subtractDimensions,
} from "./shape.ts";

const symbols = { batch: 7, length: 11, cached: 13 };

/** The value of a dimension by an independent route: JavaScript's own arithmetic. */
function value(dimension: Dimension): number {
  return Number(new Function(...Object.keys(symbols), `return ${dimension}`)(...Object.values(symbols)));
}

const dimension: fc.Arbitrary<Dimension> = fc.oneof(
  fc.integer({ min: 0, max: 9 }),
  fc.constantFrom(...Object.keys(symbols)),
  fc.constantFrom("batch*length", "2*batch+cached", "length*batch+3", "batch*length*cached-1"),
);

describe("dimensions are polynomials", () => {
  it("add, subtract and multiply as numbers do", () => {
    fc.assert(
      fc.property(dimension, dimension, (a, b) => {
        expect(value(addDimensions(a, b))).toBe(value(a) + value(b));
        expect(value(subtractDimensions(a, b))).toBe(value(a) - value(b));
        expect(value(multiplyDimensions(a, b))).toBe(value(a) * value(b));
      }),
    );
  });

  it("have one text for equal polynomials", () => {
    fc.assert(
      fc.property(dimension, dimension, dimension, (a, b, c) => {
        const left = multiplyDimensions(a, addDimensions(b, c));
        const right = addDimensions(multiplyDimensions(c, a), multiplyDimensions(b, a));
        expect(left).toBe(right);
        expect(canonicalDimension(left)).toBe(left);
        expect(subtractDimensions(left, right)).toBe(0);
      }),
    );
  });

  it("give their terms", () => {
    expect(dimensionTerms("2*batch*length+3")).toEqual([
      { coefficient: 2, symbols: ["batch", "length"] },
      { coefficient: 3, symbols: [] },
    ]);
  });

  it("refuse text that is none", () => {
    expect(() => canonicalDimension("batch length")).toThrow(/"batch length" is no dimension/);
  });
});

describe("broadcastShapes", () => {
  it("equals numpy's rule", () => {
    expect(broadcastShapes(["batch", 1, 3], [4, 1])).toEqual(["batch", 4, 3]);
    expect(broadcastShapes([2], [3])).toBeUndefined();
    expect(broadcastShapes(["batch"], ["length"])).toBeUndefined();
    expect(broadcastShapes([], ["length"])).toEqual(["length"]);
  });
});
