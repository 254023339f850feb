import fc from "fast-check";
import { expect, it } from "vitest";
import { describeProgress, drawBar, RemainingTime } from "./training-progress.ts";

it("tells how long the rest takes when it goes on like this", () => {
  const remaining = new RemainingTime();
  expect(remaining.seconds(1, 10, 0)).toBeUndefined();
  remaining.begin(2000);
  expect(remaining.seconds(0, 10, 3000)).toBeUndefined();
  expect(remaining.seconds(4, 10, 10_000)).toBe(12);
  expect(remaining.seconds(10, 10, 20_000)).toBe(0);
});

it("describes a step", () => {
  const step = { step: 7, maxSteps: 40, loss: 1.23456, learningRate: 8.26e-5, pairsPerSecond: 33.4 };
  expect(describeProgress(step, 95)).toBe(
    "step  7 of 40  1 min 35 s left  loss 1.2346  33 pairs/s  learning rate 8.3e-5",
  );
  expect(describeProgress({ ...step, step: 40, pairsPerSecond: 3.21 }, 0)).toBe(
    "step 40 of 40  loss 1.2346  3.2 pairs/s  learning rate 8.3e-5",
  );
});

it("draws a bar of one width", () => {
  fc.assert(
    fc.property(fc.double({ min: -1, max: 2, noNaN: true }), fc.integer({ min: 1, max: 60 }), (share, width) => {
      const bar = drawBar(share, width);
      expect(bar).toMatch(/^█*░*$/);
      expect(bar.length).toBe(width);
      const filled = bar.replaceAll("░", "").length;
      expect(Math.abs(filled - Math.min(Math.max(share, 0), 1) * width)).toBeLessThanOrEqual(0.5);
    }),
  );
});
