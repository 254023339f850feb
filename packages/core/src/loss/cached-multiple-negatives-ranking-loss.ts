import { type BankDrift, BankDriftProbe } from "../bank/bank-drift.ts";
import type { EmbeddingBank } from "../bank/embedding-bank.ts";
import { sequenceKeys } from "../bank/sequence-key.ts";
import type { DropoutKey } from "../encoder/dropout.ts";
import type { SentenceEncoder } from "../encoder/sentence-encoder.ts";
import { planMiniBatches } from "../encoder/token-batch.ts";
import { OptionError } from "../errors.ts";
import { BankReader } from "./bank-reader.ts";
import { checkBatch } from "./batch-check.ts";
import { ChunkedRankingLoss } from "./chunked-ranking-loss.ts";
import { describeStep } from "./diagnostics.ts";
import type { Batch, ForwardBackwardOptions, Loss } from "./loss.ts";
import { rankingConfiguration } from "./ranking-configuration.ts";
import { type RankingLossOptions, type ResolvedRankingOptions, resolveRankingOptions } from "./ranking-options.ts";
import { computeRankingScores } from "./ranking-scores.ts";

export interface CachedRankingLossOptions extends RankingLossOptions {
  /** Rows encoded at once, and rows of the loss at a time. Bounds memory; changes no result. Default 32. */
  readonly miniBatchSize?: number;
  /**
   * Most tokens encoded at once, without padding; a longer text is encoded alone. Replaces `miniBatchSize` for
   * encoding, not for the rows of the loss. Default: not used.
   */
  readonly miniBatchNumTokens?: number;
}

/**
 * MultipleNegativesRankingLoss with GradCache (Gao et al., arXiv 2101.06983): encode all mini-batches without keeping
 * activations, differentiate the loss with respect to the embeddings, then encode each mini-batch again and
 * propagate its part of that gradient. The batch can be of any size; memory is that of one mini-batch. A bank on this loss is pull request 3612's variant.
 */
export class CachedMultipleNegativesRankingLoss implements Loss {
  readonly name = "CachedMultipleNegativesRankingLoss";
  readonly options: ResolvedRankingOptions;
  readonly miniBatchSize: number;
  readonly miniBatchNumTokens: number | undefined;
  readonly banks: readonly EmbeddingBank[];
  readonly #reader: BankReader | undefined;
  readonly #drift: BankDriftProbe | undefined;

  /** @throws OptionError "invalid-option". */
  constructor(options: CachedRankingLossOptions = {}) {
    this.options = resolveRankingOptions(options);
    this.miniBatchSize = requirePositive("miniBatchSize", options.miniBatchSize ?? 32);
    this.miniBatchNumTokens =
      options.miniBatchNumTokens === undefined
        ? undefined
        : requirePositive("miniBatchNumTokens", options.miniBatchNumTokens);
    this.banks = options.bank ? [options.bank] : [];
    this.#reader = options.bank && new BankReader(options.bank, this.options);
    this.#drift = options.bank && new BankDriftProbe(options.bank);
  }

  get configuration(): Readonly<Record<string, unknown>> {
    return rankingConfiguration(this.options, this.banks[0], this);
  }

  async forwardBackward(encoder: SentenceEncoder, batch: Batch, options: ForwardBackwardOptions = {}): Promise<number> {
    const rows = checkBatch(this.name, batch);
    const { gradientScale = 1, dropout, observer } = options;
    const plans = this.#plan(batch);
    const embeddings = await this.#embed(encoder, batch, plans, dropout);
    for (const [column, rowsOfColumn] of embeddings.entries()) observer?.onEmbeddings?.(column, rowsOfColumn);

    const keys = this.#reader ? batch.columns.map(sequenceKeys) : [];
    const bank = await this.#reader?.view(encoder.programs, keys, encoder.dimension);
    const { loss, gradients, vectors, positiveRank } = await this.#lossStage(encoder).compute(embeddings, rows, {
      chunkSize: this.miniBatchSize,
      withGradients: true,
      bank,
    });
    observer?.onScores?.(await computeRankingScores(encoder.programs, this.options, { vectors, rows, bank }));
    for (const [column, gradient] of gradients.entries()) observer?.onEmbeddingGradients?.(column, gradient);
    observer?.onDiagnostics?.(describeStep(gradients, bank, positiveRank));
    if (gradientScale !== 1)
      for (const gradient of gradients)
        for (let index = 0; index < gradient.length; index++) gradient[index]! *= gradientScale;

    const { dimension } = encoder;
    for (const [column, plan] of plans.entries()) {
      const replayed = observer?.onReplayedEmbeddings ? new Float32Array(rows * dimension) : undefined;
      for (const miniBatch of plan) {
        const gradient = takeRows(gradients[column]!, miniBatch, dimension);
        const again = await encoder.programs.embedBackward(
          { sequences: batch.columns[column]!, rows: miniBatch, column, dropout },
          gradient,
        );
        if (replayed) putRows(replayed, miniBatch, again, dimension);
        await yieldToEvents();
      }
      if (replayed) observer?.onReplayedEmbeddings?.(column, replayed);
    }
    this.banks[0]?.push({ rows, embeddings: vectors, keys });
    this.#drift?.remember(batch.columns[1]!, keys[1]!);
    return loss;
  }

  onOptimizerStep(): void {
    for (const bank of this.banks) bank.onOptimizerStep();
  }

  async measureBankDrift(encoder: SentenceEncoder): Promise<BankDrift | undefined> {
    return this.#drift?.measure(encoder);
  }

  async evaluate(encoder: SentenceEncoder, batch: Batch): Promise<number> {
    const rows = checkBatch(this.name, batch);
    const embeddings = await this.#embed(encoder, batch, this.#plan(batch), undefined);
    const options = { chunkSize: this.miniBatchSize, withGradients: false };
    return (await this.#lossStage(encoder).compute(embeddings, rows, options)).loss;
  }

  #plan(batch: Batch): Int32Array[][] {
    const { miniBatchSize, miniBatchNumTokens } = this;
    return batch.columns.map((sequences) =>
      planMiniBatches(sequences, {
        miniBatchSize,
        ...(miniBatchNumTokens === undefined ? {} : { miniBatchNumTokens }),
      }),
    );
  }

  async #embed(
    encoder: SentenceEncoder,
    batch: Batch,
    plans: readonly Int32Array[][],
    dropout: DropoutKey | undefined,
  ): Promise<Float32Array[]> {
    const { dimension } = encoder;
    const embeddings: Float32Array[] = [];
    for (const [column, plan] of plans.entries()) {
      const sequences = batch.columns[column]!;
      const all = new Float32Array(sequences.length * dimension);
      for (const rows of plan) {
        putRows(all, rows, await encoder.programs.embed({ sequences, rows, column, dropout }), dimension);
        await yieldToEvents();
      }
      embeddings.push(all);
    }
    return embeddings;
  }

  #lossStage(encoder: SentenceEncoder): ChunkedRankingLoss {
    return new ChunkedRankingLoss(encoder.programs, this.options, encoder.dimension);
  }
}

/** ONNX Runtime blocks the thread during a run: signals and timers get their turn between runs. */
function yieldToEvents(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function takeRows(all: Float32Array, rows: Int32Array, width: number): Float32Array {
  const taken = new Float32Array(rows.length * width);
  rows.forEach((row, index) => {
    taken.set(all.subarray(row * width, (row + 1) * width), index * width);
  });
  return taken;
}

function putRows(all: Float32Array, rows: Int32Array, values: Float32Array, width: number): void {
  rows.forEach((row, index) => {
    all.set(values.subarray(index * width, (index + 1) * width), row * width);
  });
}

function requirePositive(option: string, value: number): number {
  if (!Number.isInteger(value) || value < 1)
    throw new OptionError(
      "invalid-option",
      `Loss option ${option} is ${JSON.stringify(value)}: it must be a whole number of at least 1.`,
      { option, value },
    );
  return value;
}
