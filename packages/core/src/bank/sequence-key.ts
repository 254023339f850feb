import type { TokenSequence } from "../encoder/token-batch.ts";

/**
 * A 53-bit hash of a text's token ids. Two different texts of a bank of a million rows have the same key with a chance
 * of one in ten thousand for all pairs together; what it would cost is one negative.
 */
export function sequenceKey(sequence: TokenSequence): number {
  let high = 0x811c9dc5;
  let low = 0x9747b28c;
  for (const token of sequence) {
    high = Math.imul(high ^ token, 0x01000193);
    low = Math.imul(low ^ (token + (low >>> 15)), 0x5bd1e995);
    low ^= low >>> 13;
  }
  high = Math.imul(high ^ (high >>> 16), 0x85ebca6b);
  high ^= high >>> 13;
  return (high >>> 0) * 2 ** 21 + (low >>> 11);
}

/** Keys of a column. */
export function sequenceKeys(sequences: readonly TokenSequence[]): Float64Array {
  return Float64Array.from(sequences, sequenceKey);
}
