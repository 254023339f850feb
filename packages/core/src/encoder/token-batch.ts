import { int64Tensor, type Tensor } from "../runtime/tensor.ts";

/** Token ids of one text with its special tokens, without padding. */
export type TokenSequence = Int32Array;

/** Texts as the programs take them: padded on the right to the longest of the rows, and their tokens alone. */
export interface PaddedTokens {
  /** Padded length in tokens. */
  readonly length: number;
  /** int64 `[rows, length]`. */
  readonly inputIds: Tensor;
  /** int64 `[rows, length]`, 1 for tokens and 0 for padding. */
  readonly attentionMask: Tensor;
  /** int64 `[tokens]`: ids of the tokens, row after row, without padding. */
  readonly tokenIds: Tensor;
  /** int64 `[tokens]`: place of each token among `rows*length`. */
  readonly tokenPlaces: Tensor;
  /** Tokens of each row. */
  readonly lengths: Int32Array;
}

/**
 * Pads some rows of a column to the longest of them. Every row has at least one token.
 * @param rows numbers of the sequences to take, in the order of the result.
 */
export function padSequences(
  sequences: readonly TokenSequence[],
  rows: ArrayLike<number>,
  padTokenId: number,
): PaddedTokens {
  const lengths = Int32Array.from(rows, (row) => sequences[row]!.length);
  const length = Math.max(1, ...lengths);
  const tokens = lengths.reduce((sum, own) => sum + own, 0);
  const shape = [rows.length, length];
  const inputIds = new BigInt64Array(rows.length * length).fill(BigInt(padTokenId));
  const attentionMask = new BigInt64Array(rows.length * length);
  const tokenIds = new BigInt64Array(tokens);
  const tokenPlaces = new BigInt64Array(tokens);
  let token = 0;
  for (let row = 0; row < rows.length; row++) {
    const sequence = sequences[rows[row]!]!;
    for (let position = 0; position < sequence.length; position++, token++) {
      const place = row * length + position;
      const id = BigInt(sequence[position]!);
      inputIds[place] = id;
      attentionMask[place] = 1n;
      tokenIds[token] = id;
      tokenPlaces[token] = BigInt(place);
    }
  }
  return {
    length,
    inputIds: int64Tensor(inputIds, shape),
    attentionMask: int64Tensor(attentionMask, shape),
    tokenIds: int64Tensor(tokenIds, [tokens]),
    tokenPlaces: int64Tensor(tokenPlaces, [tokens]),
    lengths,
  };
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
