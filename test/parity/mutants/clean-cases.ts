import type { EmbeddingBankOptions } from "@gradbank/core";
import type { ResolvedCase } from "../../../packages/bridge/src/suite/resolved-case.ts";
import { type CaseOverrides, galleryCase } from "./gallery-case.ts";

const architectures = ["bert", "roberta", "xlm-roberta", "mpnet", "distilbert"] as const;
const poolings = ["mean", "cls", "max", "weightedmean", "lasttoken"] as const;
const rankings: readonly NonNullable<CaseOverrides["loss"]>[] = [
  {},
  { scale: 50 },
  { directions: ["query_to_doc", "doc_to_query"], partitionMode: "per_direction" },
  { scale: 2, similarityFunction: "dot_score" },
  { directions: ["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"] },
  { hardnessMode: "in_batch_negatives", hardnessStrength: 5 },
  { scale: 5 },
];
const banks: readonly (EmbeddingBankOptions | null)[] = [
  null,
  { capacity: 9 },
  null,
  { capacity: 16, warmupSteps: 3, maskDuplicates: false },
  { capacity: 8, resetAtOptimizerStep: true },
  { capacity: 20, cacheQueries: false, rowWeighting: "current" },
  { capacity: 12, pushAt: "optimizerStep" },
  { capacity: 2, compatibility: "pr-3612" },
];
const updates: readonly NonNullable<CaseOverrides["arguments"]>[] = [
  { learningRate: 1e-3 },
  { learningRate: 2e-5, weightDecay: 0 },
  { learningRate: 3e-4, warmupSteps: 5, maxGradNorm: 0.1 },
  { learningRate: 5e-3, weightDecay: 0.1, adamBeta2: 0.98 },
  { learningRate: 1e-4, maxGradNorm: 0 },
];

/**
 * Cases without a bug that have little in common: architectures, poolings, losses, banks, dropout, accumulation, updates
 * and seeds. Every other one runs free. Models are tiny: one layer, 16 numbers wide.
 */
export function cleanCases(count: number, steps: number): ResolvedCase[] {
  return Array.from({ length: count }, (_, index) => {
    const at = <T>(values: readonly T[], every = 1) => values[Math.floor(index / every) % values.length]!;
    const bank = at(banks);
    // Pull request 3612 knows one direction and no hardness.
    const ranking = bank?.compatibility ? { scale: 20 } : at(rankings);
    const loss = {
      ...ranking,
      bank,
      class:
        index % 3 === 0 && !bank?.compatibility
          ? ("MultipleNegativesRankingLoss" as const)
          : ("CachedMultipleNegativesRankingLoss" as const),
    };
    const settings = galleryCase({
      model: {
        architecture: at(architectures),
        pooling: at(poolings, 2),
        normalize: index % 4 === 3,
        layers: 1,
        seed: index % 10,
      },
      texts: { seed: index, repeats: 0.2, lengths: [1, 3 + (index % 7)] },
      columns: 2 + (index % 3),
      batchSize: 4 + (index % 3),
      gradientAccumulationSteps: 1 + (Math.floor(index / 5) % 2),
      dropout: index % 3 !== 1,
      mode: index % 2 === 0 ? "teacher-forced" : "free-running",
      seed: index,
      steps,
      loss,
      arguments: at(updates),
    });
    return { ...settings, name: `clean ${index}` };
  });
}
