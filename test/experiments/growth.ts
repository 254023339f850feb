import type { Experiment, TrainingArm } from "./experiment.ts";
import { threadKeep } from "./thread.ts";
import { quickWordNetData } from "./word-net-data.ts";

/** Batches of 128. Neither side ever evicts one. */
const batches = 128;

function arm(name: string, title: string, bank: NonNullable<TrainingArm["loss"]["bank"]>): TrainingArm {
  return {
    ...threadKeep,
    name,
    title,
    loss: { ...threadKeep.loss, bank },
    arguments: { ...threadKeep.arguments, maxSteps: batches, evalSteps: batches, loggingSteps: batches },
  };
}

/**
 * The thread's growth, without the encoder's share: the same batches through a model of one layer, the pull request in Python and
 * its semantics here, with prev_cache on. What is left is the bank.
 */
export const growth: Experiment = {
  name: "growth",
  title: "Seconds and memory of each batch while the bank grows, small model",
  data: quickWordNetData,
  smallModel: true,
  maximumLength: 16,
  seeds: [1],
  arms: [
    arm("gradbank-keep", "pull request's semantics in gradbank, prev_cache on", {
      capacity: batches,
      compatibility: "pr-3612",
    }),
    arm("gradbank-1024", "gradbank's bank of 1,024 rows", { capacity: 1024 }),
    {
      kind: "pull-request",
      name: "python-keep",
      title: "pull request in Python, prev_cache on",
      batchSize: 128,
      miniBatchSize: 32,
      cacheSize: batches,
      learningRate: 4e-5,
      steps: batches,
      secondsLimit: 120,
    },
  ],
  table: [
    { title: "batches", metric: "batches", digits: 0 },
    { title: "first batches, s", metric: "firstSeconds", digits: 3 },
    { title: "last batches, s", metric: "lastSeconds", digits: 3 },
    { title: "memory growth, MB", metric: "residentGrowth", digits: 0, factor: 1e-6 },
    { title: "peak memory, MB", metric: "peakMemory", digits: 0, factor: 1e-6 },
  ],
  figures: [
    {
      kind: "step-curves",
      value: "seconds",
      file: "contaccum-growth-seconds.svg",
      title: "Seconds of each batch of 128, small model",
    },
    {
      kind: "step-curves",
      value: "resident",
      file: "contaccum-growth-memory.svg",
      title: "Memory after each batch of 128, small model",
    },
  ],
  quick: {},
};
