import type {
  EmbeddingBankOptions,
  HardnessMode,
  PartitionMode,
  RankingDirection,
  SimilarityFunction,
} from "@gradbank/core";
import type { LockstepMode, LockstepReferenceLoss, UpdateArguments } from "../lockstep/python-side.ts";
import type { RandomModelOptions } from "../reference/reference-types.ts";

/** The model of a case. */
export type CaseModel =
  | ({ readonly kind: "random" } & Required<Omit<RandomModelOptions, "folder" | "texts" | "bare">>)
  | { readonly kind: "folder" /** Absolute. */; readonly folder: string }
  | { readonly kind: "hub"; readonly name: string }
  | { readonly kind: "pretrained"; readonly name: "all-MiniLM-L6-v2" };

/** How texts are made up. */
export interface TextOptions {
  /** Different words. */
  readonly words: number;
  /** Rows; null: as many as are needed. */
  readonly rows: number | null;
  readonly seed: number;
  /** Fewest and most words of a text. */
  readonly lengths: readonly [number, number];
  /** Share of the rows with one text that other rows have too. */
  readonly repeats: number;
}

/** The texts of a case. */
export type CaseData =
  | ({ readonly kind: "texts" } & TextOptions)
  | { readonly kind: "file" /** Absolute. */; readonly file: string; readonly columns: readonly string[] | null }
  | { readonly kind: "wordNet" };

/** Our loss, its options settled. */
export interface CaseLoss {
  readonly class: "MultipleNegativesRankingLoss" | "CachedMultipleNegativesRankingLoss";
  readonly scale: number;
  readonly similarityFunction: SimilarityFunction;
  readonly directions: readonly RankingDirection[];
  readonly partitionMode: PartitionMode;
  readonly hardnessMode: HardnessMode | null;
  readonly hardnessStrength: number;
  readonly miniBatchSize: number;
  readonly miniBatchNumTokens: number | null;
  readonly bank: EmbeddingBankOptions | null;
}

/** What counts as equal; what is absent is the comparison's own. */
export interface CaseLimits {
  readonly multiple?: number;
  readonly absolute?: number;
  readonly relative?: number;
}

/** A case of a suite with every value known: plain data. */
export interface ResolvedCase {
  readonly name: string;
  readonly description: string;
  readonly model: CaseModel;
  /** null: the model's own. */
  readonly maxSequenceLength: number | null;
  readonly data: CaseData;
  readonly columns: number;
  readonly batchSize: number;
  /** Rows of the batch that ends a pass; null: no short batch. */
  readonly lastBatch: number | null;
  readonly gradientAccumulationSteps: number;
  readonly steps: number;
  readonly seed: number;
  readonly loss: CaseLoss;
  /** With options in Python's spelling; a class of a file has an absolute `file`. */
  readonly reference: LockstepReferenceLoss;
  readonly dropout: boolean;
  readonly mode: LockstepMode;
  readonly arguments: Required<UpdateArguments> & { readonly learningRate: number; readonly warmupSteps: number };
  readonly noise: boolean;
  readonly parametersEvery: number;
  readonly limits: CaseLimits;
  readonly wholeTensors: "small" | "all";
}

/** A suite with every value known. */
export interface ResolvedSuite {
  readonly name: string;
  readonly description: string;
  /** The suite file, absolute. */
  readonly file: string;
  readonly cases: readonly ResolvedCase[];
}
