import type { Arm, Experiment, TrainingArm } from "./experiment.ts";
import { threadGradCache, threadKeep, threadReset } from "./thread.ts";
import { quickWordNetData, wordNetData } from "./word-net-data.ts";

/** Pairs that each arm sees. */
const pairs = 3072;

/** Batches of 128 in them: a cache of as many never loses one. */
const batches = pairs / 128;

/** An arm of the thread over fewer pairs. */
function shortened(arm: TrainingArm, changes: Partial<TrainingArm> = {}): TrainingArm {
  const { perDeviceTrainBatchSize = 8, gradientAccumulationSteps = 1 } = arm.arguments;
  const { bank } = arm.loss;
  const maxSteps = pairs / (perDeviceTrainBatchSize * gradientAccumulationSteps);
  return {
    ...arm,
    loss: { ...arm.loss, ...(bank ? { bank: { ...bank, capacity: batches } } : {}) },
    arguments: {
      ...arm.arguments,
      maxSteps,
      evalSteps: maxSteps,
      loggingSteps: 0.5,
    },
    ...changes,
  };
}

const ours = shortened(threadKeep);

const arms: readonly Arm[] = [
  { kind: "untrained", name: "untrained", title: "untrained" },
  shortened(threadGradCache),
  shortened(threadReset),
  { ...ours, title: "pull request's semantics in gradbank, prev_cache on" },
  {
    ...shortened(threadKeep, {
      name: "bank-1024",
      title: "gradbank's bank of 1,024 rows",
    }),
    loss: { ...ours.loss, bank: { capacity: 1024 } },
  },
  {
    kind: "pull-request",
    name: "python-keep",
    title: "pull request in Python, prev_cache on",
    batchSize: 128,
    miniBatchSize: 32,
    cacheSize: batches,
    learningRate: 4e-5,
    steps: batches,
    secondsLimit: 180,
  },
];

const steps = ["contaccum-keep", "bank-1024", "contaccum-reset", "python-keep"];

/** The thread's two systems at a size for two cores. */
export const threadSmall: Experiment = {
  name: "thread-small",
  title: "The thread's two systems on WordNet with all-MiniLM-L6-v2",
  data: wordNetData,
  maximumLength: 32,
  seeds: [1],
  arms,
  table: [
    { title: "NDCG@10", metric: "ndcgAt10", digits: 4 },
    { title: "updates", metric: "updates", digits: 0 },
    { title: "pairs", metric: "pairs", digits: 0 },
    { title: "training, s", metric: "trainSeconds", digits: 0 },
    { title: "pairs/s", metric: "pairsPerSecond", digits: 1 },
    { title: "peak memory, MB", metric: "peakMemory", digits: 0, factor: 1e-6 },
    { title: "memory growth, MB", metric: "residentGrowth", digits: 0, factor: 1e-6 },
  ],
  figures: [
    {
      kind: "step-curves",
      value: "resident",
      file: "contaccum-thread-small-memory.svg",
      title: "Memory after each batch of 128",
      arms: steps,
    },
    {
      kind: "step-curves",
      value: "seconds",
      file: "contaccum-thread-small-seconds.svg",
      title: "Seconds of each batch of 128",
      arms: steps,
    },
  ],
  quick: {
    data: quickWordNetData,
    arms: arms.map((arm) => {
      if (arm.kind === "pull-request") return { ...arm, steps: 4 };
      return arm.kind === "training" ? { ...arm, arguments: { ...arm.arguments, maxSteps: 2 } } : arm;
    }),
  },
};
