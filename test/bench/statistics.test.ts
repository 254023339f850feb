import fc from "fast-check";
import { expect, test } from "vitest";
import { median, ratioSpread, spread } from "./statistics.ts";

const values = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 30 });

test("as many values lie below the median as above it", () => {
  fc.assert(
    fc.property(values, (list) => {
      const middle = median(list);
      expect(list.filter((value) => value < middle).length).toBeLessThanOrEqual(list.length / 2);
      expect(list.filter((value) => value > middle).length).toBeLessThanOrEqual(list.length / 2);
    }),
  );
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 10, 2])).toBe(3);
  expect(() => median([])).toThrow(RangeError);
});

test("a spread keeps the order of the rounds and holds their ends", () => {
  expect(spread([5, 1, 3])).toEqual({ median: 3, min: 1, max: 5, rounds: [5, 1, 3] });
});

test("ratios are taken within a round", () => {
  // The ratio of the medians would be 1.
  expect(ratioSpread([2, 4, 6], [1, 8, 4])).toEqual({ median: 1.5, min: 0.5, max: 2, rounds: [2, 0.5, 1.5] });
  expect(() => ratioSpread([1], [1, 2])).toThrow(RangeError);
});
