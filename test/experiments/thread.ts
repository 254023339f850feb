import type { Arm, Experiment, TrainingArm } from "./experiment.ts";

/** What the thread's scripts have in common. */
const shared = {
  numTrainEpochs: 1,
  warmupRatio: 0.1,
  batchSampler: "no_duplicates",
  evalSteps: 0.1,
  loggingSteps: 0.05,
} as const satisfies TrainingArm["arguments"];

/** GradCache as the thread's first script ran it. */
export const threadGradCache: TrainingArm = {
  kind: "training",
  name: "gradcache",
  title: "GradCache 1,024 in 64s",
  loss: { lossClass: "CachedMultipleNegativesRankingLoss", miniBatchSize: 64 },
  arguments: { ...shared, perDeviceTrainBatchSize: 1024, learningRate: 8e-5 },
};

/** `cache_size` of the thread's second script. It counts batches. */
export const threadCacheSize = 1028;

/** The pull request with prev_cache=False, eight batches an update: what the thread reports as ContAccum. */
export const threadReset: TrainingArm = {
  kind: "training",
  name: "contaccum-reset",
  title: "pull request, 8 x 128, prev_cache off",
  loss: {
    lossClass: "CachedMultipleNegativesRankingLoss",
    miniBatchSize: 32,
    bank: { capacity: threadCacheSize, compatibility: "pr-3612", resetAtOptimizerStep: true },
  },
  arguments: { ...shared, perDeviceTrainBatchSize: 128, gradientAccumulationSteps: 8, learningRate: 4e-5 },
};

/** The pull request with prev_cache=True, which was given up after hours: one batch an update. */
export const threadKeep: TrainingArm = {
  kind: "training",
  name: "contaccum-keep",
  title: "pull request, 128, prev_cache on",
  loss: {
    lossClass: "CachedMultipleNegativesRankingLoss",
    miniBatchSize: 32,
    bank: { capacity: threadCacheSize, compatibility: "pr-3612" },
  },
  arguments: { ...shared, perDeviceTrainBatchSize: 128, learningRate: 4e-5 },
};

const arms: readonly Arm[] = [
  { kind: "untrained", name: "untrained", title: "untrained" },
  threadGradCache,
  threadReset,
  threadKeep,
];

/**
 * The two scripts of pull request 3612's thread: GooAQ's first 100,000 rows, 10,000 of them to evaluate, mpnet-base. The
 * corpus of the evaluation is those 10,000 answers.
 */
export const thread: Experiment = {
  name: "thread",
  title: "The thread's two systems on GooAQ with mpnet-base",
  data: {
    source: "file",
    expected: "GooAQ's first 100,000 rows as question and answer, in their order, as JSON Lines, CSV or TSV",
    firstRows: 100_000,
    documents: 10_000,
    queries: 10_000,
    splitSeed: 12,
  },
  model: "microsoft/mpnet-base",
  maximumLength: 512,
  // The scripts leave the Trainer's seed at its default.
  seeds: [42],
  arms,
  table: [
    { title: "NDCG@10", metric: "ndcgAt10", digits: 4 },
    { title: "training, s", metric: "trainSeconds", digits: 0 },
    { title: "peak memory, MB", metric: "peakMemory", digits: 0, factor: 1e-6 },
  ],
  figures: [
    {
      kind: "learning-curves",
      over: "pairs",
      file: "contaccum-thread-pairs.svg",
      title: "NDCG@10 over pairs, GooAQ, mpnet-base",
    },
    {
      kind: "step-curves",
      value: "seconds",
      file: "contaccum-thread-seconds.svg",
      title: "Seconds of each batch, GooAQ, mpnet-base",
    },
    {
      kind: "step-curves",
      value: "resident",
      file: "contaccum-thread-memory.svg",
      title: "Memory after each batch, GooAQ, mpnet-base",
    },
  ],
  quick: {
    data: { source: "file", expected: "question and answer", documents: 50, queries: 20, splitSeed: 12 },
    arms: arms.map((arm) => (arm.kind === "training" ? { ...arm, arguments: { ...arm.arguments, maxSteps: 2 } } : arm)),
  },
};
