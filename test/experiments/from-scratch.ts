import type { EmbeddingBankOptions } from "@gradbank/core";
import type { Arm, Experiment, TrainingArm } from "./experiment.ts";
import { quickWordNetData, wordNetData } from "./word-net-data.ts";

const rowsAtOnce = 32;
const rowsOfUpdate = 128;

/** Enough that a bank of 2,048 is filled many times over. */
const updates = 240;

const sharedArguments = {
  maxSteps: updates,
  learningRate: 2e-3,
  warmupRatio: 0.1,
  batchSampler: "no_duplicates",
  evalSteps: updates / 4,
  bankDriftSteps: updates / 8,
} as const satisfies TrainingArm["arguments"];

function directArm(
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

function gradCacheArm(name: string, title: string, bank?: EmbeddingBankOptions): TrainingArm {
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

const capacity = 1024;
const changed = (name: string, title: string, bank: Partial<EmbeddingBankOptions>) =>
  directArm(name, `bank 1,024, ${title}`, { capacity, ...bank });

const arms: readonly Arm[] = [
  { kind: "untrained", name: "untrained", title: "untrained" },
  directArm("accumulation", "plain accumulation, 4 x 32"),
  directArm("bank-128", "ContAccum 4 x 32, bank 128", { capacity: 128 }),
  directArm("bank-512", "ContAccum 4 x 32, bank 512", { capacity: 512 }),
  directArm("bank-1024", "ContAccum 4 x 32, bank 1,024", { capacity }),
  directArm("bank-2048", "ContAccum 4 x 32, bank 2,048", { capacity: 2048 }),
  gradCacheArm("gradcache", "GradCache 128 in 32s"),
  gradCacheArm("gradcache-bank-1024", "GradCache 128 in 32s, bank 1,024", { capacity }),
  changed("weighting-current", "rowWeighting current", { rowWeighting: "current" }),
  changed("no-queries", "cacheQueries off", { cacheQueries: false }),
  changed("reset", "resetAtOptimizerStep on", { resetAtOptimizerStep: true }),
  changed("bank-warmup", "warmupSteps 10 %", { warmupSteps: updates / 10 }),
];

/**
 * The arms of equal-memory, and the bank's settings, on a small random encoder that is trained from nothing: fast enough
 * for hundreds of updates and several seeds, and with embeddings that move, which is what a bank suffers from.
 */
export const fromScratch: Experiment = {
  name: "from-scratch",
  title: "A small random encoder, trained from nothing at the memory of 32 rows",
  data: wordNetData,
  randomModel: {
    architecture: "bert",
    seed: 7,
    hiddenSize: 64,
    layers: 2,
    heads: 4,
    intermediateSize: 256,
    vocabSize: 8000,
    maxPositionEmbeddings: 32,
    normalize: true,
  },
  maximumLength: 32,
  seeds: [1, 2, 3],
  arms,
  table: [
    { title: "NDCG@10", metric: "ndcgAt10", digits: 4 },
    { title: "training / GradCache", metric: "steadySeconds", digits: 2, relativeTo: "gradcache" },
    { title: "gradient norms, documents / queries", metric: "gradientNormRatio", digits: 2 },
    { title: "positives' rank at the end", metric: "positiveRank", digits: 1 },
    { title: "drift (cosine)", metric: "driftCosine", digits: 3 },
  ],
  figures: [
    {
      kind: "learning-curves",
      over: "pairs",
      file: "contaccum-from-scratch-pairs.svg",
      title: "NDCG@10 over pairs, mean of the seeds",
      arms: ["untrained", "accumulation", "bank-128", "bank-512", "bank-1024", "bank-2048", "gradcache"],
    },
  ],
  quick: {
    data: quickWordNetData,
    seeds: [1],
    arms: arms.map((arm) =>
      arm.kind === "training" ? { ...arm, arguments: { ...arm.arguments, maxSteps: 8, evalSteps: 4 } } : arm,
    ),
  },
};
