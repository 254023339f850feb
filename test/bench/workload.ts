/** A loss to be timed, the same on both sides. */
export interface Workload {
  /** How results call it. */
  readonly key: "gradcache" | "direct";
  readonly title: string;
  readonly lossClass: "CachedMultipleNegativesRankingLoss" | "MultipleNegativesRankingLoss";
  /** Rows of one loss. */
  readonly batchSize: number;
  /** Rows encoded at once; GradCache only. */
  readonly miniBatchSize?: number;
  /** Steps of this loss for each step that was asked for: a round trains on the same rows with each loss. */
  readonly stepFactor: number;
}

/** What `npm run bench` compares. */
export const workloads: readonly Workload[] = [
  {
    key: "gradcache",
    title: "GradCache, batch 128 in 32s",
    lossClass: "CachedMultipleNegativesRankingLoss",
    batchSize: 128,
    miniBatchSize: 32,
    stepFactor: 1,
  },
  {
    key: "direct",
    title: "Direct loss, batch 32",
    lossClass: "MultipleNegativesRankingLoss",
    batchSize: 32,
    stepFactor: 4,
  },
];

/** Most tokens of a text, special tokens included. */
export const maximumLength = 128;

/** Highest learning rate of the linear schedule, and the share of the steps in which it rises. */
export const learningRate = 5e-5;
export const warmupRatio = 0.1;

/** Seed of the split, of the order of rows and of dropout. */
export const seed = 42;
