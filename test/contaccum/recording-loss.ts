import type { Batch, EmbeddingBank, ForwardBackwardOptions, Loss, SentenceEncoder } from "@gradbank/core";

/** Wraps a loss: keeps the loss of every batch, and the rows that the bank held before it. */
export class RecordingLoss implements Loss {
  readonly name: string;
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly banks: readonly EmbeddingBank[];
  readonly losses: number[] = [];
  readonly bankRows: number[] = [];
  readonly #inner: Loss;

  constructor(inner: Loss) {
    this.name = inner.name;
    this.configuration = inner.configuration;
    this.banks = inner.banks;
    this.#inner = inner;
  }

  async forwardBackward(encoder: SentenceEncoder, batch: Batch, options?: ForwardBackwardOptions): Promise<number> {
    this.bankRows.push(this.banks[0]?.rows ?? 0);
    const value = await this.#inner.forwardBackward(encoder, batch, options);
    this.losses.push(value);
    return value;
  }

  onOptimizerStep(): void {
    this.#inner.onOptimizerStep();
  }

  measureBankDrift(encoder: SentenceEncoder): ReturnType<Loss["measureBankDrift"]> {
    return this.#inner.measureBankDrift(encoder);
  }

  evaluate(encoder: SentenceEncoder, batch: Batch): Promise<number> {
    return this.#inner.evaluate(encoder, batch);
  }
}
