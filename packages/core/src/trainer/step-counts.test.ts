import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OptionError } from "../errors.ts";
import { parseTrainingArguments, type TrainingArgumentsInput } from "./arguments.ts";
import { linearSchedule } from "./schedule.ts";
import {
  accumulationGroups,
  countSteps,
  dueAfterEpoch,
  dueAfterStep,
  epochAfterBatch,
  type StepCounts,
} from "./step-counts.ts";

interface Case {
  rows: number;
  arguments: TrainingArgumentsInput;
  counts: StepCounts;
  learningRates: number[];
}

const reference: { learningRate: number; cases: Case[] } = JSON.parse(
  readFileSync(new URL("./__fixtures__/step-counts.json", import.meta.url), "utf8"),
);

describe.each(reference.cases)("as transformers counts: $rows rows, $arguments", (expected) => {
  const counts = countSteps(expected.rows, parseTrainingArguments(expected.arguments));

  test("counts", () => {
    expect(counts).toEqual(expected.counts);
  });

  test("learning rates are bit-equal", () => {
    const schedule = linearSchedule({ ...counts, learningRate: reference.learningRate });
    expect(expected.learningRates.map((_, step) => schedule(step))).toEqual(expected.learningRates);
  });
});

// The two experiment scripts of sentence-transformers pull request 3612: 90,000 rows, one epoch, everything in shares.
test.each([
  { batch: 1024, groups: 1, maxSteps: 88, warmup: 9, evaluate: 9, log: 5 },
  { batch: 128, groups: 1, maxSteps: 704, warmup: 71, evaluate: 71, log: 36 },
  { batch: 128, groups: 8, maxSteps: 88, warmup: 9, evaluate: 9, log: 5 },
])("the thread's run with batch $batch and $groups batches an update", ({ batch, groups, ...expected }) => {
  const counts = countSteps(
    90_000,
    parseTrainingArguments({
      perDeviceTrainBatchSize: batch,
      gradientAccumulationSteps: groups,
      numTrainEpochs: 1,
      warmupRatio: 0.1,
      evalSteps: 0.1,
      loggingSteps: 0.05,
    }),
  );
  expect(counts).toMatchObject({
    maxSteps: expected.maxSteps,
    warmupSteps: expected.warmup,
    evalSteps: expected.evaluate,
    loggingSteps: expected.log,
  });
  const lastBatch = 90_000 - (counts.batchesPerEpoch - 1) * batch;
  expect(lastBatch).toBe(batch === 1024 ? 912 : 16);
  expect(accumulationGroups(counts.batchesPerEpoch, groups).every(({ size }) => size === groups)).toBe(true);
});

test("warmupSteps takes precedence over warmupRatio; a ratio of 1 is the whole run, 1 step is one step", () => {
  const warmup = (given: TrainingArgumentsInput) =>
    countSteps(100, parseTrainingArguments({ ...given, perDeviceTrainBatchSize: 1, numTrainEpochs: 1 })).warmupSteps;
  expect(warmup({ warmupSteps: 7, warmupRatio: 0.5 })).toBe(7);
  expect(warmup({ warmupSteps: 0, warmupRatio: 0.5 })).toBe(50);
  expect(warmup({ warmupRatio: 1 })).toBe(100);
  expect(warmup({ warmupSteps: 1 })).toBe(1);
});

test("groups cover an epoch's batches once, in order, and only the last may be smaller", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 20 }), (batches, accumulation) => {
      const groups = accumulationGroups(batches, accumulation);
      const covered = groups.flatMap(({ firstBatch, size }) =>
        Array.from({ length: size }, (_, index) => firstBatch + index),
      );
      expect(covered).toEqual(Array.from({ length: batches }, (_, index) => index));
      expect(groups.slice(0, -1).every(({ size }) => size === accumulation)).toBe(true);
      const { updatesPerEpoch } = countSteps(
        batches,
        parseTrainingArguments({ perDeviceTrainBatchSize: 1, gradientAccumulationSteps: accumulation }),
      );
      expect(groups).toHaveLength(updatesPerEpoch);
      // The Trainer's own rule for when to update: every K batches and at the end of an epoch.
      const updatesAfter = covered.filter((batch) => (batch + 1) % accumulation === 0 || batch + 1 === batches);
      expect(groups.map(({ firstBatch, size }) => firstBatch + size - 1)).toEqual(updatesAfter);
    }),
  );
});

test("no rows and no whole batch are refused with the numbers", () => {
  const given = parseTrainingArguments({ perDeviceTrainBatchSize: 32, dataloaderDropLast: true });
  expect(() => countSteps(0, given)).toThrow(OptionError);
  expect(() => countSteps(31, given)).toThrow(/31 rows.*perDeviceTrainBatchSize is 32.*no whole batch/);
  expect(countSteps(32, given).batchesPerEpoch).toBe(1);
});

test("epochs in log entries count batches, not updates", () => {
  expect(epochAfterBatch(0, 87, 88)).toBe(1);
  expect(epochAfterBatch(2, 0, 4)).toBe(2.25);
});

// Whole runs are compared with the real trainer in test/training/strategies.test.ts.
test("logging, evaluation and saving fall on the Trainer's steps", () => {
  const counts = { loggingSteps: 3, evalSteps: 3, saveSteps: 4, maxSteps: 10 };
  const stepsOf = (what: "log" | "evaluate" | "save", given: TrainingArgumentsInput) =>
    Array.from({ length: 10 }, (_, index) => index + 1).filter(
      (step) => dueAfterStep(step, counts, parseTrainingArguments(given))[what],
    );
  expect(stepsOf("log", {})).toEqual([3, 6, 9]);
  expect(stepsOf("log", { loggingFirstStep: true })).toEqual([1, 3, 6, 9]);
  expect(stepsOf("log", { loggingStrategy: "epoch", loggingFirstStep: true })).toEqual([1]);
  expect(stepsOf("evaluate", { evalStrategy: "steps" })).toEqual([3, 6, 9, 10]);
  expect(stepsOf("evaluate", { evalStrategy: "steps", evalDelay: 6 })).toEqual([6, 9, 10]);
  expect(stepsOf("evaluate", {})).toEqual([]);
  expect(stepsOf("save", {})).toEqual([4, 8, 10]);
  expect(stepsOf("save", { saveStrategy: "epoch" })).toEqual([]);
});

test("at the end of an epoch only strategies by epoch act, evaluations after their delay", () => {
  const due = (given: TrainingArgumentsInput) => dueAfterEpoch(1.5, parseTrainingArguments(given));
  expect(due({ evalStrategy: "steps" })).toEqual({ log: false, evaluate: false, save: false });
  expect(due({ loggingStrategy: "epoch", evalStrategy: "epoch", saveStrategy: "epoch" })).toEqual({
    log: true,
    evaluate: true,
    save: true,
  });
  expect(due({ evalStrategy: "epoch", evalDelay: 2 }).evaluate).toBe(false);
});
