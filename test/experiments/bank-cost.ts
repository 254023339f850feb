import type { Arm, BankCostArm, Experiment, SteadyMemoryArm } from "./experiment.ts";

const bankRows = [0, 1024, 16_384];

const direct: BankCostArm = {
  kind: "bank-cost",
  name: "direct",
  title: "gradbank, direct loss, batch 32",
  side: "gradbank",
  loss: { lossClass: "MultipleNegativesRankingLoss" },
  batchSize: 32,
  bankRows,
  rounds: 7,
};

const gradCache: BankCostArm = {
  ...direct,
  name: "gradcache",
  title: "gradbank, GradCache, batch 128 in 32s",
  loss: { lossClass: "CachedMultipleNegativesRankingLoss", miniBatchSize: 32 },
  batchSize: 128,
  rounds: 5,
};

/**
 * The largest bank apart from the others: when it is filled at once, all its rows are scored with each other once, which
 * takes minutes.
 */
const gradCacheLarge: BankCostArm = {
  ...gradCache,
  name: "gradcache-large",
  title: "gradbank, GradCache, batch 128 in 32s, large bank",
  bankRows: [0, 131_072],
  rounds: 3,
};

const pullRequest: BankCostArm = {
  ...gradCache,
  name: "python",
  title: "pull request in Python, batch 128 in 32s",
  side: "pull-request",
  // 131,072 rows would take about 64 times what 16,384 take: too long to wait for.
  bankRows,
  rounds: 2,
};

const steady: SteadyMemoryArm = {
  kind: "steady-memory",
  name: "steady-memory",
  title: "4,000 steps of a small model, bank 1,024",
  loss: { lossClass: "MultipleNegativesRankingLoss", bank: { capacity: 1024 } },
  batchSize: 32,
  steps: 4000,
  every: 100,
};

const arms: readonly Arm[] = [direct, gradCache, gradCacheLarge, pullRequest, steady];

/** What a full bank adds to a step, beside the pull request's loss in torch; and memory over many steps. */
export const bankCost: Experiment = {
  name: "bank-cost",
  title: "Seconds of a step with a full bank",
  maximumLength: 32,
  seeds: [1],
  arms,
  table: [
    { title: "no bank, s", metric: "seconds0", digits: 3 },
    { title: "1,024 rows, s", metric: "seconds1024", digits: 3 },
    { title: "16,384 rows, s", metric: "seconds16384", digits: 3 },
    { title: "131,072 rows, s", metric: "seconds131072", digits: 3 },
    { title: "1,024 / none", metric: "ratio1024", digits: 2 },
    { title: "16,384 / none", metric: "ratio16384", digits: 2 },
    { title: "131,072 / none", metric: "ratio131072", digits: 2 },
    { title: "memory at half, MB", metric: "residentAtHalf", digits: 1, factor: 1e-6 },
    { title: "memory at the end, MB", metric: "residentAtEnd", digits: 1, factor: 1e-6 },
  ],
  figures: [],
  quick: {
    arms: [
      { ...direct, bankRows: [0, 256], rounds: 1 },
      { ...gradCache, bankRows: [0, 256], rounds: 1 },
      { ...pullRequest, bankRows: [0, 256], rounds: 1 },
      { ...steady, steps: 60, every: 10 },
    ],
  },
};
