import type { EmbeddingBankOptions } from "@gradbank/core";
import type { Arm, Experiment, TrainingArm, UpdateTimesArm } from "./experiment.ts";
import { quickWordNetData, wordNetData } from "./word-net-data.ts";

/** Rows encoded at once, in every arm: what memory of activations depends on. */
const rowsAtOnce = 32;

/** Rows of an update, in every arm. */
const rowsOfUpdate = 128;

/** Updates of each run; all arms see the same pairs in the same order. */
const updates = 16;

/** What all arms of equal-memory and of the ablation have in common. */
export const sharedArguments = {
  maxSteps: updates,
  learningRate: 5e-5,
  warmupRatio: 0.1,
  batchSampler: "no_duplicates",
  evalSteps: updates / 2,
  bankDriftSteps: updates / 4,
} as const satisfies TrainingArm["arguments"];

/** An arm on the direct loss: batches of 32, four of them an update. */
export function directArm(
  name: string,
  title: string,
  bank?: EmbeddingBankOptions,
  settings: TrainingArm["arguments"] = {},
): TrainingArm {
  return {
    kind: "training",
    name,
    title,
    loss: { lossClass: "MultipleNegativesRankingLoss", ...(bank ? { bank } : {}) },
    arguments: {
      ...sharedArguments,
      perDeviceTrainBatchSize: rowsAtOnce,
      gradientAccumulationSteps: rowsOfUpdate / rowsAtOnce,
      ...settings,
    },
  };
}

/** An arm on GradCache: one batch of 128 an update, encoded in mini-batches of 32. */
export function gradCacheArm(name: string, title: string, bank?: EmbeddingBankOptions): TrainingArm {
  return {
    kind: "training",
    name,
    title,
    loss: {
      lossClass: "CachedMultipleNegativesRankingLoss",
      miniBatchSize: rowsAtOnce,
      ...(bank ? { bank } : {}),
    },
    arguments: { ...sharedArguments, perDeviceTrainBatchSize: rowsOfUpdate },
  };
}

export const untrained: Arm = { kind: "untrained", name: "untrained", title: "untrained" };

/** Updates of all arms in turns. */
export const updateTimes: UpdateTimesArm = {
  kind: "update-times",
  name: "update-times",
  title: "updates in turns",
  rowsOfUpdate,
  rounds: 7,
  relativeTo: "gradcache",
};

const arms: readonly Arm[] = [
  untrained,
  updateTimes,
  directArm("accumulation", "plain accumulation, 4 x 32"),
  directArm("bank-128", "ContAccum 4 x 32, bank 128", { capacity: 128 }),
  directArm("bank-512", "ContAccum 4 x 32, bank 512", { capacity: 512 }),
  directArm("bank-1024", "ContAccum 4 x 32, bank 1,024", { capacity: 1024 }),
  directArm("bank-2048", "ContAccum 4 x 32, bank 2,048", { capacity: 2048 }),
  {
    ...directArm("bank-1024-grouped", "ContAccum 4 x 32, bank 1,024, grouped by length", { capacity: 1024 }),
    groupByLength: true,
  },
  gradCacheArm("gradcache", "GradCache 128 in 32s"),
  gradCacheArm("gradcache-bank-1024", "GradCache 128 in 32s, bank 1,024", { capacity: 1024 }),
];

/** Plain accumulation, ContAccum and GradCache, where each encodes 32 rows at once. */
export const equalMemory: Experiment = {
  name: "equal-memory",
  title: "All losses at the memory of 32 rows",
  data: wordNetData,
  maximumLength: 32,
  seeds: [1, 2, 3],
  arms,
  table: [
    { title: "NDCG@10", metric: "ndcgAt10", digits: 4 },
    { title: "update in turns, s", metric: "seconds", from: "update-times", digits: 2 },
    { title: "update / GradCache", metric: "ratio", from: "update-times", digits: 2 },
    { title: "peak memory, MB", metric: "peakMemory", digits: 0, factor: 1e-6 },
  ],
  figures: [
    {
      kind: "learning-curves",
      over: "seconds",
      secondsFrom: updateTimes.name,
      file: "contaccum-equal-memory-time.svg",
      title: "NDCG@10 over training time (updates timed in turns), mean of the seeds",
    },
    {
      kind: "learning-curves",
      over: "pairs",
      file: "contaccum-equal-memory-pairs.svg",
      title: "NDCG@10 over pairs, mean of the seeds",
    },
  ],
  quick: {
    data: quickWordNetData,
    seeds: [1, 2],
    arms: arms.map((arm) =>
      arm.kind === "training" ? { ...arm, arguments: { ...arm.arguments, maxSteps: 4, evalSteps: 2 } } : arm,
    ),
  },
};
