import type { Embeddings } from "../embeddings.ts";
import type { SimilarityFunctionName } from "../model-folder/read-model-folder.ts";

/** What an evaluator needs of an encoder. */
export interface TextEncoder {
  /**
   * Encodes texts without dropout and without normalising them.
   *
   * @param options.batchSize Texts encoded at once. The default is the encoder's.
   * @returns One row a text, in the order of `texts`.
   */
  encode(texts: readonly string[], options?: { batchSize?: number }): Promise<Embeddings>;
  /** How the encoder's embeddings are meant to be compared. Default "cosine". */
  readonly similarityFunction?: SimilarityFunctionName;
}

export interface EvaluationContext {
  /** The folder for result files; it is made when it is missing. Without it no file is written. */
  outputPath?: string;
  /** How far training is, in epochs. */
  epoch?: number;
  /** How far training is, in optimizer steps. */
  steps?: number;
}

/** Measures an encoder: during training and after it. */
export interface Evaluator {
  /** The name that the metrics begin with; may be empty. */
  readonly name: string;
  /** The metric that tells the better of two models; greater is better. */
  readonly primaryMetric: string;
  /** @returns The metrics by name. */
  evaluate(encoder: TextEncoder, context?: EvaluationContext): Promise<Record<string, number>>;
}
