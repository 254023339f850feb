import fc from "fast-check";
import { expect, it } from "vitest";
import { firstDifferentLevel, heatLevel, levelTexts } from "./heat-level.ts";

it("has one level for a decade, two of them for one below the limit", () => {
  const levels = (equal: boolean, multiples: (number | null)[]) =>
    multiples.map((multiple) => heatLevel({ equal, multiple }));
  expect(levels(true, [0, 1e-9, 0.3, 0.31, 1, 2.9, 3.1, 100])).toEqual([0, 1, 1, 2, 2, 3, 4, 4]);
  expect(levels(false, [0, 9, 11, 100, 999, 1001, 1e300, null])).toEqual([5, 5, 6, 6, 7, 8, 8, 8]);
});

it("rises with the multiple and never gives stages that differ a level of those that are equal", () => {
  const multiple = fc.double({ min: 0, noNaN: true });
  fc.assert(
    fc.property(multiple, multiple, fc.boolean(), (a, b, equal) => {
      const [low, high] = [Math.min(a, b), Math.max(a, b)].map((multiple) => heatLevel({ equal, multiple }));
      expect(low).toBeLessThanOrEqual(high!);
      expect(high! < firstDifferentLevel).toBe(equal);
      expect(levelTexts[high!]).toBeTypeOf("string");
    }),
  );
});
