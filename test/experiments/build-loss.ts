import {
  CachedMultipleNegativesRankingLoss,
  EmbeddingBank,
  type Loss,
  MultipleNegativesRankingLoss,
} from "@gradbank/core";
import type { ArmLoss } from "./experiment.ts";

/** The loss that an arm describes, with a bank of its own. */
export function buildLoss({ lossClass, miniBatchSize, bank }: ArmLoss): Loss {
  const options = bank ? { bank: new EmbeddingBank(bank) } : {};
  return lossClass === "MultipleNegativesRankingLoss"
    ? new MultipleNegativesRankingLoss(options)
    : new CachedMultipleNegativesRankingLoss({ ...options, ...(miniBatchSize === undefined ? {} : { miniBatchSize }) });
}
