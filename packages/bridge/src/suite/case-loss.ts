import {
  CachedMultipleNegativesRankingLoss,
  EmbeddingBank,
  type Loss,
  MultipleNegativesRankingLoss,
} from "@gradbank/core";
import type { LockstepReferenceLoss } from "../lockstep/python-side.ts";
import type { CaseLoss } from "./resolved-case.ts";

/**
 * Makes our loss of a case, with an empty bank if it has one.
 *
 * @throws OptionError "invalid-option" for options that do not go together.
 */
export function createCaseLoss({ class: name, miniBatchSize, miniBatchNumTokens, bank, ...ranking }: CaseLoss): Loss {
  const options = { ...ranking, ...(bank ? { bank: new EmbeddingBank(bank) } : {}) };
  if (name === "MultipleNegativesRankingLoss") return new MultipleNegativesRankingLoss(options);
  return new CachedMultipleNegativesRankingLoss({
    ...options,
    miniBatchSize,
    ...(miniBatchNumTokens === null ? {} : { miniBatchNumTokens }),
  });
}

/**
 * Python's loss that computes what ours does: the same class without a bank; with one, pull request 3612 in its
 * compatibility mode, and otherwise the paper's loss written out.
 */
export function fittingReference(loss: CaseLoss): LockstepReferenceLoss {
  const similarity = { scale: loss.scale, similarity_fct: loss.similarityFunction };
  const ranking = {
    ...similarity,
    directions: loss.directions,
    partition_mode: loss.partitionMode,
    hardness_mode: loss.hardnessMode,
    hardness_strength: loss.hardnessStrength,
  };
  const { bank } = loss;
  if (bank?.compatibility === "pr-3612")
    return {
      class: "PullRequest3612",
      options: {
        ...similarity,
        mini_batch_size: loss.miniBatchSize,
        use_cont_accum: true,
        cache_size: bank.capacity,
        prev_cache: !bank.resetAtOptimizerStep,
      },
    };
  if (bank) {
    const { options } = new EmbeddingBank(bank);
    return {
      class: "ContAccum",
      options: {
        ...ranking,
        capacity: options.capacity,
        reset_at_optimizer_step: options.resetAtOptimizerStep,
        push_at: options.pushAt,
        cache_queries: options.cacheQueries,
        row_weighting: options.rowWeighting,
        warmup_steps: options.warmupSteps,
        mask_duplicates: options.maskDuplicates,
      },
    };
  }
  if (loss.class === "MultipleNegativesRankingLoss") return { class: loss.class, options: ranking };
  return {
    class: loss.class,
    options: { ...ranking, mini_batch_size: loss.miniBatchSize, mini_batch_num_tokens: loss.miniBatchNumTokens },
  };
}
