import { int64Tensor, type Tensor } from "../runtime/tensor.ts";

/** Token ids of one text with its special tokens, without padding. */
export type TokenSequence = Int32Array;

/** Texts as the programs take them: padded on the right to the longest of the rows. */
export interface PaddedTokens {
  /** Padded length in tokens. */
  readonly length: number;
  /** int64 `[rows, length]`. */
  readonly inputIds: Tensor;
  /** int64 `[rows, length]`, 1 for tokens and 0 for padding. */
  readonly attentionMask: Tensor;
}

/**
 * Pads some rows of a column to the longest of them.
 * @param rows numbers of the sequences to take, in the order of the result.
 */
export function padSequences(
  sequences: readonly TokenSequence[],
  rows: ArrayLike<number>,
  padTokenId: number,
): PaddedTokens {
  let length = 1;
  for (let row = 0; row < rows.length; row++) length = Math.max(length, sequences[rows[row]!]!.length);
  const shape = [rows.length, length];
  const inputIds = new BigInt64Array(rows.length * length).fill(BigInt(padTokenId));
  const attentionMask = new BigInt64Array(rows.length * length);
  for (let row = 0; row < rows.length; row++) {
    const sequence = sequences[rows[row]!]!;
    for (let position = 0; position < sequence.length; position++) {
      inputIds[row * length + position] = BigInt(sequence[position]!);
      attentionMask[row * length + position] = 1n;
    }
  }
  return { length, inputIds: int64Tensor(inputIds, shape), attentionMask: int64Tensor(attentionMask, shape) };
}

/** How a column's rows are cut into mini-batches. */
export interface MiniBatchLimits {
  /** Most rows of a mini-batch. */
  readonly miniBatchSize: number;
  /** Most tokens of a mini-batch, without padding; a longer text stands alone. Replaces `miniBatchSize`. */
  readonly miniBatchNumTokens?: number;
}

/**
 * Cuts rows into mini-batches of similar length, so that little is padded. The gradient of a batch does not depend on
 * the cut: each row is encoded by itself.
 * @returns row numbers of each mini-batch.
 */
export function planMiniBatches(sequences: readonly TokenSequence[], limits: MiniBatchLimits): Int32Array[] {
  const order = Int32Array.from(sequences.keys()).sort((a, b) => sequences[b]!.length - sequences[a]!.length || a - b);
  const miniBatches: Int32Array[] = [];
  let start = 0;
  while (start < order.length) {
    let end = start + 1;
    if (limits.miniBatchNumTokens === undefined) {
      end = Math.min(start + limits.miniBatchSize, order.length);
    } else {
      let tokens = sequences[order[start]!]!.length;
      while (end < order.length && tokens + sequences[order[end]!]!.length <= limits.miniBatchNumTokens)
        tokens += sequences[order[end++]!]!.length;
    }
    miniBatches.push(order.slice(start, end));
    start = end;
  }
  return miniBatches;
}
