import fc from "fast-check";
import { expect, test } from "vitest";
import { OptionError } from "../errors.ts";
import { linearSchedule } from "./schedule.ts";

// Agreement with transformers, bit by bit, is checked in step-counts.test.ts.

test("with a warm-up the first update has rate 0, update `warmupSteps` the highest, the last one a little more than 0", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 500 }), (warmupSteps, rest) => {
      const maxSteps = warmupSteps + rest;
      const rate = linearSchedule({ learningRate: 4e-5, warmupSteps, maxSteps });
      expect(rate(0)).toBe(0);
      expect(rate(warmupSteps)).toBe(4e-5);
      expect(rate(maxSteps - 1)).toBeCloseTo(4e-5 / rest, 15);
      expect(rate(maxSteps)).toBe(0);
      expect(rate(maxSteps + 1)).toBe(0);
    }),
  );
});

test("without a warm-up the first update has the highest rate", () => {
  expect(linearSchedule({ learningRate: 1, warmupSteps: 0, maxSteps: 4 })(0)).toBe(1);
});

test("a warm-up longer than the run never reaches the highest rate", () => {
  const rate = linearSchedule({ learningRate: 1, warmupSteps: 10, maxSteps: 4 });
  expect([0, 1, 2, 3].map(rate)).toEqual([0, 0.1, 0.2, 0.3]);
});

test.each([{ warmupSteps: 0.1 }, { warmupSteps: -1 }, { maxSteps: Number.NaN }])(
  "counts must be whole: %o",
  (wrong) => {
    expect(() => linearSchedule({ learningRate: 1, warmupSteps: 1, maxSteps: 4, ...wrong })).toThrow(OptionError);
  },
);
