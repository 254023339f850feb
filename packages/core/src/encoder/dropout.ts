import { type Tensor, uint8Tensor } from "../runtime/tensor.ts";

/**
 * Names one draw of dropout masks. The mask of an element depends on this key, its column, its row in the batch, its
 * site and its place within the row, and on nothing else: how a batch is cut into mini-batches, how far it is padded and
 * how often it is encoded change no mask. GradCache's second pass therefore repeats the first.
 */
export interface DropoutKey {
  /** The run's seed, an unsigned 32-bit integer. */
  readonly seed: number;
  /** Number of the forward pass in the run; each batch has its own. */
  readonly step: number;
}

/** One place of a model where dropout is applied. */
export interface DropoutSite {
  /** Name in the order of computation: `embeddings`, `layer0.attention`, `layer0.attention_output`, ... */
  readonly name: string;
  readonly rate: number;
  /** Shape of a row's mask: `hidden` is `[tokens, hiddenSize]`, `attention` is `[heads, length, length]`. */
  readonly kind: "hidden" | "attention";
}

/** Sizes that masks need. */
export interface DropoutSizes {
  readonly hiddenSize: number;
  readonly heads: number;
  /** Longest sequence that the model can have: fixes where an attention weight's draw lies. */
  readonly maximumLength: number;
}

/**
 * Draws the masks of one site for some rows of a column.
 * @param rows row numbers within the batch, one a row of the mask.
 * @param lengths tokens of each row: draws are made for them; in `attention` masks everything else is 0, which changes
 * nothing, because padding is neither attended to nor read.
 * @param length padded length of these rows.
 * @returns uint8, 1 = kept: `[sum of lengths, hiddenSize]` or `[rows, heads, length, length]`.
 */
export function drawDropoutMask(
  key: DropoutKey,
  column: number,
  siteIndex: number,
  site: DropoutSite,
  rows: ArrayLike<number>,
  lengths: ArrayLike<number>,
  length: number,
  sizes: DropoutSizes,
): Tensor {
  const threshold = keepThreshold(site.rate);
  const isHidden = site.kind === "hidden";
  const tokens = Array.from(lengths).reduce((sum, own) => sum + own, 0);
  const mask = new Uint8Array(isHidden ? tokens * sizes.hiddenSize : rows.length * sizes.heads * length * length);
  let start = 0;
  for (let index = 0; index < rows.length; index++) {
    const [first, second] = streamKey(key, column, siteIndex, rows[index]!);
    const own = lengths[index]!;
    if (isHidden) {
      fillMask(mask, start, own * sizes.hiddenSize, 0, first, second, threshold);
      start += own * sizes.hiddenSize;
      continue;
    }
    // Each attention row starts at an even draw, because one hash decides two elements.
    const stride = sizes.maximumLength + (sizes.maximumLength % 2);
    for (let head = 0; head < sizes.heads; head++, start += length * length)
      for (let query = 0; query < own; query++) {
        const origin = (head * sizes.maximumLength + query) * stride;
        fillMask(mask, start + query * length, own, origin, first, second, threshold);
      }
  }
  return uint8Tensor(mask, isHidden ? [tokens, sizes.hiddenSize] : [rows.length, sizes.heads, length, length]);
}

/** Of 65,536 equally likely draws, those below are kept; the rate is thereby rounded to 1/65,536. */
function keepThreshold(rate: number): number {
  return Math.round((1 - rate) * 65536);
}

function fillMask(
  mask: Uint8Array,
  start: number,
  count: number,
  origin: number,
  first: number,
  second: number,
  threshold: number,
): void {
  let draw = origin >>> 1;
  const pairs = start + (count & ~1);
  for (let element = start; element < pairs; element += 2, draw++) {
    const bits = hash(draw, first, second);
    mask[element] = (bits & 0xffff) < threshold ? 1 : 0;
    mask[element + 1] = bits >>> 16 < threshold ? 1 : 0;
  }
  if (count & 1) mask[start + count - 1] = (hash(draw, first, second) & 0xffff) < threshold ? 1 : 0;
}

/** 32 bits from a counter and a 64-bit key: multiply-xorshift rounds with the second key word added in the middle. */
function hash(counter: number, first: number, second: number): number {
  let bits = Math.imul(counter, 0x9e3779b1) ^ first;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = (bits ^ (bits >>> 13)) + second;
  bits = Math.imul(bits ^ (bits >>> 16), 0xc2b2ae35);
  return bits ^ (bits >>> 15);
}

function streamKey(key: DropoutKey, column: number, site: number, row: number): [number, number] {
  let first = hash(key.seed, 0x243f6a88, 0x85a308d3);
  let second = hash(key.seed, 0x13198a2e, 0x03707344);
  for (const word of [key.step, column, site, row]) {
    first = hash(word, first, 0xa4093822);
    second = hash(word, second, first);
  }
  return [first, second];
}
