import type { EmbeddingBankOptions } from "@gradbank/core";
import { directArm, sharedArguments, untrained } from "./equal-memory.ts";
import type { Arm, Experiment, TrainingArm } from "./experiment.ts";
import { quickWordNetData, wordNetData } from "./word-net-data.ts";

const capacity = 1024;

/** The arm bank-1024 of equal-memory with one thing changed. */
function changed(
  name: string,
  title: string,
  bank: Partial<EmbeddingBankOptions>,
  settings: TrainingArm["arguments"] = {},
): TrainingArm {
  return directArm(name, title, { capacity, ...bank }, settings);
}

const { learningRate, maxSteps } = sharedArguments;

/**
 * Rows of the arms that see all pairs several times: only then do cached texts repeat. The bank holds the pairs of two
 * epochs.
 */
const trainRows = 512;

const arms: readonly Arm[] = [
  untrained,
  changed("as-it-is", "bank 1,024 as it is", {}),
  changed("weighting-current", "rowWeighting current", { rowWeighting: "current" }),
  changed("no-queries", "cacheQueries off", { cacheQueries: false }),
  changed("reset", "resetAtOptimizerStep on", { resetAtOptimizerStep: true }),
  changed("bank-warmup", "warmupSteps 10 %", { warmupSteps: Math.ceil(0.1 * maxSteps) }),
  changed("half-rate", "learning rate x 0.5", {}, { learningRate: learningRate / 2 }),
  changed("double-rate", "learning rate x 2", {}, { learningRate: learningRate * 2 }),
  { ...changed("epochs-masking", "4 epochs of 512 pairs, maskDuplicates on", {}), trainRows },
  {
    ...changed("epochs-no-masking", "4 epochs of 512 pairs, maskDuplicates off", { maskDuplicates: false }),
    trainRows,
  },
];

/** Which settings of the bank matter: ContAccum on the direct loss with a bank of 1,024, one change at a time. */
export const ablation: Experiment = {
  name: "ablation",
  title: "ContAccum on the direct loss, bank 1,024, one change at a time",
  data: wordNetData,
  maximumLength: 32,
  seeds: [1],
  arms,
  table: [
    { title: "NDCG@10", metric: "ndcgAt10", digits: 4 },
    { title: "gradient norms, documents / queries", metric: "gradientNormRatio", digits: 2 },
    { title: "positives' rank at the end", metric: "positiveRank", digits: 1 },
    { title: "drift (cosine)", metric: "driftCosine", digits: 4 },
    { title: "masked", metric: "maskedDuplicates", digits: 0 },
  ],
  figures: [],
  quick: {
    data: quickWordNetData,
    seeds: [1],
    arms: arms.map((arm) =>
      arm.kind === "training" ? { ...arm, arguments: { ...arm.arguments, maxSteps: 4, evalSteps: 2 } } : arm,
    ),
  },
};
