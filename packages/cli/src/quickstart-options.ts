import { availableParallelism } from "node:os";

/** What `gradbank quickstart` was asked to do. */
export interface QuickstartOptions {
  /** Model folder or hub id; undefined: all-MiniLM-L6-v2, from wherever it can be had. */
  readonly model: string | undefined;
  /** File of pairs; undefined: WordNet. */
  readonly data: string | undefined;
  /** Folder of the run. */
  readonly outputDir: string;
  /** Updates; undefined: one pass over the training pairs. */
  readonly maxSteps: number | undefined;
  /** Rows of one loss. */
  readonly batchSize: number;
  /** Rows encoded at once. */
  readonly miniBatchSize: number;
  /** Rows of earlier batches that serve as further negatives; undefined: no bank. */
  readonly bankCapacity: number | undefined;
  /** Highest learning rate. */
  readonly learningRate: number;
  /** Most pairs to train on. */
  readonly trainPairs: number;
  /** Threads inside one operator, on both sides. */
  readonly threads: number;
  /** Whether to compare with Python. */
  readonly parity: boolean;
  /** Whether to write events as JSON Lines instead of text. */
  readonly json: boolean;
}

/** What holds for options that are not given. */
export const quickstartDefaults: QuickstartOptions = {
  model: undefined,
  data: undefined,
  outputDir: "runs/quickstart",
  maxSteps: undefined,
  batchSize: 128,
  miniBatchSize: 32,
  bankCapacity: undefined,
  learningRate: 1e-4,
  trainPairs: 5120,
  threads: availableParallelism(),
  parity: true,
  json: false,
};
