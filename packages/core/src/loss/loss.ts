import type { BankDrift } from "../bank/bank-drift.ts";
import type { EmbeddingBank } from "../bank/embedding-bank.ts";
import type { DropoutKey } from "../encoder/dropout.ts";
import type { SentenceEncoder } from "../encoder/sentence-encoder.ts";
import type { TokenSequence } from "../encoder/token-batch.ts";
import type { RankingScores } from "./ranking-scores.ts";

/** The rows of one loss: token ids of each column, anchor first, then positive, then negatives. */
export interface Batch {
  /** One list of texts a column; all lists have as many rows. */
  readonly columns: readonly (readonly TokenSequence[])[];
}

/** Numbers about a step that cost little. */
export interface LossDiagnostics {
  /** Norm of the loss's gradient with respect to the queries' embeddings. */
  readonly queryGradientNorm: number;
  /** The same for all documents' embeddings. */
  readonly documentGradientNorm: number;
  /** Document norm over query norm: the paper's figure of balance. */
  readonly gradientNormRatio: number;
  /** About the bank, when there is one. */
  readonly bank?: {
    /** Rows that took part in the step. */
    readonly rows: number;
    /** Optimizer steps since the oldest of them entered. */
    readonly oldestAge: number;
    /** Documents that score higher than a row's positive, on average. */
    readonly positiveRank: number;
    /** Pairs of a row and a cached document that were taken out as duplicates. */
    readonly maskedDuplicates: number;
  };
}

/** What a loss shows of a step to whoever asks; embeddings are flat `[rows, dimension]` in the order of the batch. */
export interface LossObserver {
  /** Embeddings that the loss was computed from. */
  onEmbeddings?(column: number, embeddings: Float32Array): void;
  /** Ranking losses only: logits of the softmax, computed in full for the observer that asks. */
  onScores?(scores: RankingScores): void;
  /** Gradient of the loss with respect to the embeddings, without `gradientScale`. */
  onEmbeddingGradients?(column: number, gradients: Float32Array): void;
  /** GradCache only: embeddings of the second pass, from which the weights' gradients come. */
  onReplayedEmbeddings?(column: number, embeddings: Float32Array): void;
  onDiagnostics?(diagnostics: LossDiagnostics): void;
}

export interface ForwardBackwardOptions {
  /** Factor of the gradients, not of the returned loss: 1 / gradient accumulation steps. Default 1. */
  readonly gradientScale?: number;
  /** Draw dropout masks with this key; absent: no dropout. */
  readonly dropout?: DropoutKey | undefined;
  readonly observer?: LossObserver | undefined;
}

/** A training objective over a sentence encoder. */
export interface Loss {
  /** The class's name in sentence-transformers. */
  readonly name: string;
  /** Options by sentence-transformers' names, for model cards and events. */
  readonly configuration: Readonly<Record<string, unknown>>;
  /** Banks that the loss or what it wraps keeps: the trainer saves and restores them. */
  readonly banks: readonly EmbeddingBank[];
  /**
   * Adds the gradient of the batch's loss to the encoder's gradients.
   * @returns the loss, a mean over rows.
   * @throws OptionError "invalid-input" for a batch that the loss cannot take.
   */
  forwardBackward(encoder: SentenceEncoder, batch: Batch, options?: ForwardBackwardOptions): Promise<number>;
  /** To be called after each optimizer step; the trainer does. */
  onOptimizerStep(): void;
  /** How stale the loss's bank is; undefined without one, or while nothing can be measured. */
  measureBankDrift(encoder: SentenceEncoder): Promise<BankDrift | undefined>;
  /** The batch's loss without dropout; touches no gradient and no bank. */
  evaluate(encoder: SentenceEncoder, batch: Batch): Promise<number>;
}
