import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OptionError } from "../errors.ts";
import { createSchedule, linearSchedule, type ScheduleOptions, schedulerTypes } from "./schedule.ts";

const reference: { learningRate: number; cases: (ScheduleOptions & { learningRates: number[] })[] } = JSON.parse(
  readFileSync(new URL("./__fixtures__/schedules.json", import.meta.url), "utf8"),
);

describe.each(schedulerTypes)("%s", (type) => {
  const cases = reference.cases.filter((given) => given.type === type);

  test.each(cases)("as get_scheduler: $maxSteps updates, $warmupSteps of warm-up, $keywords", (given) => {
    const schedule = createSchedule({ ...given, learningRate: reference.learningRate });
    const ours = given.learningRates.map((_, step) => schedule(step));
    // Python's cosine and JavaScript's may differ in the last bit; powers and roots are rounded alike.
    if (!type.startsWith("cosine")) expect(ours).toEqual(given.learningRates);
    else
      for (const [step, rate] of ours.entries())
        expect(Math.abs(rate - given.learningRates[step]!)).toBeLessThan(1e-15 * reference.learningRate);
  });
});

test("a keyword of another schedule is refused with those that it takes", () => {
  const options = { learningRate: 1e-3, warmupSteps: 0, maxSteps: 4 };
  expect(() => createSchedule({ ...options, type: "linear", keywords: { power: 2 } })).toThrow(
    'lrSchedulerKwargs.power is 2, but lrSchedulerType "linear" takes no keywords. Leave it out or choose another schedule.',
  );
  expect(() => createSchedule({ ...options, type: "polynomial", keywords: { numCycles: 2 } })).toThrow(
    "takes only power, lrEnd",
  );
  expect(() => createSchedule({ ...options, type: "polynomial", keywords: { lrEnd: 1e-3 } })).toThrow(
    "it must be below learningRate, which is 0.001",
  );
});

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
