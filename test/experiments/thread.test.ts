import { countSteps, parseTrainingArguments } from "@gradbank/core";
import { describe, expect, it } from "vitest";
import type { TrainingArm } from "./experiment.ts";
import { thread, threadGradCache, threadKeep, threadReset } from "./thread.ts";
import { threadSmall } from "./thread-small.ts";

/** Rows that are left after the evaluation's 10,000. */
const trainRows = 90_000;

const countsOf = ({ arguments: given }: TrainingArm) => countSteps(trainRows, parseTrainingArguments(given));

describe("thread", () => {
  it("leaves 90,000 rows to train on", () => {
    expect(thread.data!.firstRows! - thread.data!.documents).toBe(trainRows);
    expect(thread.data).toMatchObject({ splitSeed: 12 });
  });

  // Steps, warm-up, evaluation and logging points as the scripts' own Trainer computes them.
  it("GradCache: 88 updates, warm-up 9, evaluation every 9, log every 5", () => {
    expect(countsOf(threadGradCache)).toMatchObject({ maxSteps: 88, warmupSteps: 9, evalSteps: 9, loggingSteps: 5 });
    expect(threadGradCache.arguments).toMatchObject({ perDeviceTrainBatchSize: 1024, learningRate: 8e-5 });
    expect(threadGradCache.loss).toEqual({ lossClass: "CachedMultipleNegativesRankingLoss", miniBatchSize: 64 });
  });

  it("ContAccum with eight batches an update: 704 batches in 88 updates", () => {
    const counts = countsOf(threadReset);
    expect(counts).toMatchObject({ maxSteps: 88, batchesPerEpoch: 704, warmupSteps: 9, evalSteps: 9 });
    expect(threadReset.arguments).toMatchObject({ learningRate: 4e-5, batchSampler: "no_duplicates" });
    expect(threadReset.loss).toMatchObject({
      miniBatchSize: 32,
      bank: { capacity: 1028, compatibility: "pr-3612", resetAtOptimizerStep: true },
    });
  });

  it("ContAccum with one batch an update: 704 updates, warm-up 71, evaluation every 71, log every 36", () => {
    expect(countsOf(threadKeep)).toMatchObject({ maxSteps: 704, warmupSteps: 71, evalSteps: 71, loggingSteps: 36 });
    expect(threadKeep.loss.bank).toEqual({ capacity: 1028, compatibility: "pr-3612" });
  });
});

describe("thread-small", () => {
  it("lets every arm see the same pairs, and never fills the cache that must not evict", () => {
    const pairs = threadSmall.arms.flatMap((arm) => {
      if (arm.kind === "pull-request") return [arm.steps * arm.batchSize];
      if (arm.kind !== "training") return [];
      const { perDeviceTrainBatchSize, gradientAccumulationSteps = 1, maxSteps } = arm.arguments;
      return [perDeviceTrainBatchSize! * gradientAccumulationSteps * maxSteps!];
    });
    expect(pairs).toHaveLength(5);
    expect(new Set(pairs).size).toBe(1);
    const keep = threadSmall.arms.find(({ name }) => name === threadKeep.name) as TrainingArm;
    expect(keep.loss.bank!.capacity).toBeGreaterThanOrEqual(keep.arguments.maxSteps!);
  });
});
