import type { SentenceEncoder } from "../encoder/sentence-encoder.ts";
import type { TokenSequence } from "../encoder/token-batch.ts";
import type { EmbeddingBank } from "./embedding-bank.ts";

/** How far cached embeddings have drifted from what the encoder gives now. */
export interface BankDrift {
  /** Cached documents that were encoded again. */
  readonly rows: number;
  /** Mean cosine of a cached document's embedding and its embedding now, without dropout; 1 is no drift. */
  readonly meanCosine: number;
  /** The least of these cosines. */
  readonly leastCosine: number;
}

/** Rows of a batch whose texts are remembered, and rows that are encoded again. */
const rememberedPerPush = 2;
const measuredRows = 32;

/** Remembers some texts of each push, and encodes those again that are still in the bank. */
export class BankDriftProbe {
  readonly #bank: EmbeddingBank;
  /** Hash of a positive to its tokens, oldest first. */
  readonly #remembered = new Map<number, TokenSequence>();

  constructor(bank: EmbeddingBank) {
    this.#bank = bank;
  }

  /** @param positives texts of a batch's positives. @param keys their hashes. */
  remember(positives: readonly TokenSequence[], keys: Float64Array): void {
    for (let row = 0; row < Math.min(rememberedPerPush, positives.length); row++)
      this.#remembered.set(keys[row]!, positives[row]!);
    const most = Math.max(measuredRows, Math.ceil((this.#bank.slots / positives.length) * rememberedPerPush));
    for (const key of this.#remembered.keys()) {
      if (this.#remembered.size <= most) break;
      this.#remembered.delete(key);
    }
  }

  /** Undefined when none of the remembered texts is in the bank. */
  async measure(encoder: SentenceEncoder): Promise<BankDrift | undefined> {
    const { dimension } = this.#bank;
    const slots = new Map<number, number>();
    const occupied = this.#bank.occupied();
    this.#bank.keys(1).forEach((key, slot) => {
      if (occupied[slot] && this.#remembered.has(key)) slots.set(key, slot);
    });
    const keys = [...slots.keys()].sort((a, b) => a - b);
    const step = Math.max(1, keys.length / measuredRows);
    const chosen = Array.from(
      { length: Math.min(measuredRows, keys.length) },
      (_, index) => keys[Math.floor(index * step)]!,
    );
    if (chosen.length === 0) return undefined;
    const sequences = chosen.map((key) => this.#remembered.get(key)!);
    const now = await encoder.programs.embed({ sequences, rows: Int32Array.from(sequences.keys()) });
    const cached = this.#bank.embeddings(1);
    const cosines = chosen.map((key, row) =>
      cosine(cached, slots.get(key)! * dimension, now, row * dimension, dimension),
    );
    return {
      rows: cosines.length,
      meanCosine: cosines.reduce((sum, value) => sum + value, 0) / cosines.length,
      leastCosine: Math.min(...cosines),
    };
  }
}

function cosine(a: Float32Array, aStart: number, b: Float32Array, bStart: number, length: number): number {
  let [product, aSquares, bSquares] = [0, 0, 0];
  for (let index = 0; index < length; index++) {
    const [x, y] = [a[aStart + index]!, b[bStart + index]!];
    product += x * y;
    aSquares += x * x;
    bSquares += y * y;
  }
  return product / Math.max(Math.sqrt(aSquares * bSquares), 1e-12);
}
