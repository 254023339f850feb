import type { EmbeddingBank } from "../bank/embedding-bank.ts";
import type { ResolvedRankingOptions } from "./ranking-options.ts";

/** Options as sentence-transformers' `get_config_dict` names and orders them. */
export function rankingConfiguration(
  options: ResolvedRankingOptions,
  bank: EmbeddingBank | undefined,
  cached?: { miniBatchSize: number; miniBatchNumTokens: number | undefined },
): Record<string, unknown> {
  return {
    scale: options.scale,
    similarity_fct: options.similarityFunction,
    ...(cached
      ? { mini_batch_size: cached.miniBatchSize, mini_batch_num_tokens: cached.miniBatchNumTokens ?? null }
      : {}),
    gather_across_devices: false,
    directions: options.directions,
    partition_mode: options.partitionMode,
    hardness_mode: options.hardnessMode,
    hardness_strength: options.hardnessStrength,
    ...(bank ? { bank: bank.options } : {}),
  };
}
