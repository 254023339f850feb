import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { aggregate, aggregateMetric } from "./aggregate.ts";
import { makeRun } from "./testing/make-run.ts";

describe("aggregate", () => {
  it("has the numbers of Python's statistics module", () => {
    // statistics.mean and statistics.stdev of [2, 4, 4, 4, 5, 5, 7, 9].
    const found = aggregate([2, 4, 4, 4, 5, 5, 7, 9]);
    expect(found.mean).toBe(5);
    expect(found.deviation).toBeCloseTo(2.138089935299395, 12);
    expect([found.min, found.max]).toEqual([2, 9]);
  });

  it("shifts and scales with its values", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 20 }),
        fc.double({ min: -50, max: 50, noNaN: true }),
        fc.double({ min: 0.1, max: 10, noNaN: true }),
        (values, shift, factor) => {
          const before = aggregate(values);
          const after = aggregate(values.map((value) => value * factor + shift));
          expect(after.mean).toBeCloseTo(before.mean * factor + shift, 8);
          expect(after.deviation).toBeCloseTo(before.deviation * factor, 6);
          expect(before.min).toBeLessThanOrEqual(before.mean + 1e-9);
          expect(before.max).toBeGreaterThanOrEqual(before.mean - 1e-9);
        },
      ),
    );
  });

  it("refuses no values", () => {
    expect(() => aggregate([])).toThrow(RangeError);
  });
});

describe("aggregateMetric", () => {
  const runs = [
    makeRun({ arm: "a", seed: 1, metrics: { seconds: 10 } }),
    makeRun({ arm: "a", seed: 2, metrics: { seconds: 30 } }),
    makeRun({ arm: "b", seed: 2, metrics: { seconds: 60 } }),
    makeRun({ arm: "b", seed: 1, metrics: { seconds: 5 } }),
    makeRun({ arm: "c", seed: 1, metrics: {} }),
    makeRun({ arm: "once", seed: 1, metrics: { seconds: 4 } }),
  ];

  it("divides by the other arm's value of the same seed, whatever the order of the runs", () => {
    expect(aggregateMetric(runs, "b", "seconds", { relativeTo: "a" })?.values).toEqual([2, 0.5]);
    expect(aggregateMetric(runs, "b", "seconds", { factor: 2 })?.mean).toBe(65);
  });

  it("takes the only value of an arm that runs once", () => {
    expect(aggregateMetric(runs, "b", "seconds", { relativeTo: "once" })?.values).toEqual([15, 1.25]);
  });

  it("is undefined where no run has the metric, and leaves out seeds without the other", () => {
    expect(aggregateMetric(runs, "c", "seconds")).toBeUndefined();
    expect(aggregateMetric(runs, "none", "seconds")).toBeUndefined();
    expect(
      aggregateMetric(runs.slice(0, 1).concat(runs.slice(2, 4)), "b", "seconds", { relativeTo: "c" }),
    ).toBeUndefined();
  });
});
