import { expect, test } from "vitest";
import { parseTrainingArguments, type TrainingArgumentsInput } from "./arguments.ts";
import { isBetter } from "./best-model.ts";
import { EarlyStoppingCallback } from "./early-stopping-callback.ts";
import { createEvent } from "./events.ts";

// Whole runs are compared with transformers in test/training/strategies.test.ts.

const byScore: TrainingArgumentsInput = { evalStrategy: "steps", metricForBestModel: "dev_score" };

/** Evaluations until the callback ends the run. */
function evaluationsUntilStop(callback: EarlyStoppingCallback, scores: readonly number[], best?: number): number {
  const control = { shouldStop: false };
  let bestMetric = best;
  for (const [index, score] of scores.entries()) {
    const event = createEvent("evaluation-end", index, { epoch: 1, metrics: { dev_score: score }, evalRuntime: 1 });
    callback.onEvaluate({ step: index, maxSteps: 99, epoch: 1, bestMetric }, control, event);
    if (control.shouldStop) return index + 1;
    if (isBetter(score, bestMetric, true)) bestMetric = score;
  }
  return Number.POSITIVE_INFINITY;
}

test("counts evaluations that are not better by more than the threshold; NaN is not", () => {
  const made = (options: ConstructorParameters<typeof EarlyStoppingCallback>[0]) => {
    const callback = new EarlyStoppingCallback(options);
    callback.checkArguments(parseTrainingArguments(byScore));
    return callback;
  };
  expect(evaluationsUntilStop(made({}), [1, 2, 3, 3])).toBe(4);
  expect(evaluationsUntilStop(made({ earlyStoppingPatience: 2 }), [1, 0, 2, 1, 1])).toBe(5);
  expect(evaluationsUntilStop(made({ earlyStoppingThreshold: 1 }), [1, 2])).toBe(2);
  expect(evaluationsUntilStop(made({ earlyStoppingPatience: 2 }), [1, Number.NaN, Number.NaN])).toBe(3);
});

test("goes on from its state as if it had not stopped", () => {
  const first = new EarlyStoppingCallback({ earlyStoppingPatience: 3 });
  first.checkArguments(parseTrainingArguments(byScore));
  evaluationsUntilStop(first, [5, 4, 4]);
  const second = new EarlyStoppingCallback({ earlyStoppingPatience: 3 });
  second.checkArguments(parseTrainingArguments(byScore));
  second.restore(JSON.parse(JSON.stringify(first.state())));
  expect(evaluationsUntilStop(second, [4, 4], 5)).toBe(1);
});

test("what it cannot work with is refused", () => {
  const check = (given: TrainingArgumentsInput) => () =>
    new EarlyStoppingCallback().checkArguments(parseTrainingArguments(given));
  expect(check({ metricForBestModel: "loss" })).toThrow(
    'EarlyStoppingCallback needs evaluations, but evalStrategy is "no". Set it to "steps" or "epoch".',
  );
  expect(check({ evalStrategy: "epoch" })).toThrow(
    'EarlyStoppingCallback needs metricForBestModel, which is not set. Set it, to "loss" for example, or set loadBestModelAtEnd.',
  );
  expect(() => new EarlyStoppingCallback({ earlyStoppingPatience: 0 })).toThrow(
    "EarlyStoppingCallback option earlyStoppingPatience is 0; expected a whole number of evaluations from 1.",
  );
  expect(() => new EarlyStoppingCallback({ earlyStoppingThreshold: Number.NaN })).toThrow("expected a number from 0");
});
