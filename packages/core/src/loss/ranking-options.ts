import type { EmbeddingBank } from "../bank/embedding-bank.ts";
import { OptionError } from "../errors.ts";

/** A direction in which samples are told apart. q = query (anchor), d = document (positive or negative). */
export type RankingDirection = "query_to_doc" | "query_to_query" | "doc_to_query" | "doc_to_doc";

/** `joint`: one softmax over the candidates of all directions. `per_direction`: the mean of one softmax each. */
export type PartitionMode = "joint" | "per_direction";

/** Which negatives are made harder: those of other samples, the sample's own explicit ones, or both. */
export type HardnessMode = "in_batch_negatives" | "hard_negatives" | "all_negatives";

export type SimilarityFunction = "cos_sim" | "dot_score";

/** All directions, in the order in which sentence-transformers puts their candidates together. */
export const rankingDirections: readonly RankingDirection[] = [
  "query_to_doc",
  "query_to_query",
  "doc_to_query",
  "doc_to_doc",
];

const partitionModes: readonly PartitionMode[] = ["joint", "per_direction"];
const hardnessModes: readonly HardnessMode[] = ["in_batch_negatives", "hard_negatives", "all_negatives"];
const similarityFunctions: readonly SimilarityFunction[] = ["cos_sim", "dot_score"];

/** Options of the ranking losses, with sentence-transformers' names and defaults. */
export interface RankingLossOptions {
  /** Factor of the similarities; the reciprocal of the temperature. Greater than 0. Default 20. */
  readonly scale?: number;
  /** The reciprocal of `scale`; give one of the two. */
  readonly temperature?: number;
  /** Default `"cos_sim"`. */
  readonly similarityFunction?: SimilarityFunction;
  /** At least `"query_to_doc"`. Default: that alone. */
  readonly directions?: readonly RankingDirection[];
  /** Default `"joint"`. */
  readonly partitionMode?: PartitionMode;
  /** Adds `hardnessStrength` times the similarity to the logits of these negatives (arXiv 2509.20354). Default: none. */
  readonly hardnessMode?: HardnessMode | null;
  /** At least 0. Default 0, which switches hardness off. */
  readonly hardnessStrength?: number;
  /** Embeddings of earlier batches as further candidates and rows (ContAccum, arXiv 2406.12356). Default: none. */
  readonly bank?: EmbeddingBank;
}

/** Options with every value known. */
export interface ResolvedRankingOptions {
  readonly scale: number;
  readonly similarityFunction: SimilarityFunction;
  readonly directions: readonly RankingDirection[];
  readonly partitionMode: PartitionMode;
  readonly hardnessMode: HardnessMode | null;
  readonly hardnessStrength: number;
}

/**
 * Fills in defaults.
 * @throws OptionError "invalid-option" that names the option, what was given and what is allowed.
 */
export function resolveRankingOptions(options: RankingLossOptions): ResolvedRankingOptions {
  const {
    similarityFunction = "cos_sim",
    directions = ["query_to_doc"],
    partitionMode = "joint",
    hardnessMode = null,
    hardnessStrength = 0,
  } = options;
  const scale = resolveScale(options);
  if (directions.length === 0) refuse("directions", directions, "at least one direction must be specified");
  const unknown = directions.filter((direction) => !rankingDirections.includes(direction));
  if (unknown.length > 0) refuse("directions", directions, `each must be one of ${rankingDirections.join(", ")}`);
  if (new Set(directions).size !== directions.length) refuse("directions", directions, "each may stand once");
  if (!directions.includes("query_to_doc"))
    refuse("directions", directions, `"query_to_doc" is required, because it holds the positive pair`);
  requireOneOf("similarityFunction", similarityFunction, similarityFunctions);
  requireOneOf("partitionMode", partitionMode, partitionModes);
  if (partitionMode === "per_direction")
    for (const direction of ["query_to_query", "doc_to_doc"] as const)
      if (directions.includes(direction))
        refuse(
          "partitionMode",
          partitionMode,
          `with "${direction}" it must be "joint", because that direction holds no positive pair`,
        );
  if (hardnessMode !== null) requireOneOf("hardnessMode", hardnessMode, hardnessModes);
  if (!(hardnessStrength >= 0) || !Number.isFinite(hardnessStrength))
    refuse("hardnessStrength", hardnessStrength, "it must be a number of at least 0");
  if (hardnessMode !== null && hardnessStrength === 0)
    process.emitWarning(
      `hardnessMode is "${hardnessMode}" but hardnessStrength is 0, so no negative is made harder. Set hardnessStrength above 0.`,
      { code: "GRADBANK_NO_HARDNESS" },
    );
  return { scale, similarityFunction, directions, partitionMode, hardnessMode, hardnessStrength };
}

function resolveScale({ scale, temperature }: RankingLossOptions): number {
  if (scale !== undefined && temperature !== undefined)
    refuse("temperature", temperature, "it is the reciprocal of scale; give one of the two");
  if (temperature !== undefined && !(temperature > 0 && Number.isFinite(temperature)))
    refuse("temperature", temperature, "it must be a number greater than 0");
  const value = scale ?? (temperature === undefined ? 20 : 1 / temperature);
  if (!(value > 0) || !Number.isFinite(value)) refuse("scale", scale, "it must be a number greater than 0");
  return value;
}

function requireOneOf<T>(option: string, value: T, allowed: readonly T[]): void {
  if (!allowed.includes(value)) refuse(option, value, `it must be one of ${allowed.join(", ")}`);
}

function refuse(option: string, value: unknown, expected: string): never {
  throw new OptionError("invalid-option", `Loss option ${option} is ${JSON.stringify(value)}: ${expected}.`, {
    option,
    value,
  });
}
