import { OptionError } from "./errors.ts";

/** Embeddings of several texts, one row a text. */
export interface Embeddings {
  /** The rows one after another: `rows * dimension` numbers. */
  readonly data: Float32Array;
  /** The number of texts. */
  readonly rows: number;
  /** The numbers of one embedding. */
  readonly dimension: number;
}

/** How two embeddings are scored: the cosine of their angle, or their dot product. */
export type SimilarityFunction = "cosine" | "dot";

/**
 * The cosine of every row of `left` with every row of `right`: x . y / (max(|x|, 1e-12) max(|y|, 1e-12)), as
 * sentence-transformers' `cos_sim`.
 *
 * @returns `left.rows * right.rows` scores, the scores of one row of `left` one after another.
 */
export function cosineSimilarity(left: Embeddings, right: Embeddings): Float32Array {
  return dotScore(normalizeEmbeddings(left), normalizeEmbeddings(right));
}

/**
 * The dot product of every row of `left` with every row of `right`. Throws OptionError when their dimensions differ.
 *
 * @returns `left.rows * right.rows` scores, the scores of one row of `left` one after another.
 */
export function dotScore(left: Embeddings, right: Embeddings): Float32Array {
  const scores = new Float32Array(left.rows * right.rows);
  writeDotProducts(left, 0, left.rows, right, 0, right.rows, scores);
  return scores;
}

/** A copy with rows of length 1: x / max(|x|, 1e-12), as torch's `normalize`. */
export function normalizeEmbeddings(embeddings: Embeddings): Embeddings {
  checkEmbeddings(embeddings, "normalizeEmbeddings");
  const { rows, dimension } = embeddings;
  const data = new Float32Array(embeddings.data.length);
  for (let row = 0; row < rows; row++) {
    const start = row * dimension;
    let sum = 0;
    for (let index = start; index < start + dimension; index++) sum += embeddings.data[index]! ** 2;
    const length = Math.max(Math.fround(Math.sqrt(sum)), 1e-12);
    for (let index = start; index < start + dimension; index++) data[index] = embeddings.data[index]! / length;
  }
  return { data, rows, dimension };
}

/** The first `dimension` numbers of every row, copied. Throws OptionError when rows are shorter. */
export function truncateEmbeddings(embeddings: Embeddings, dimension: number): Embeddings {
  checkEmbeddings(embeddings, "truncateEmbeddings");
  if (!Number.isInteger(dimension) || dimension < 1 || dimension > embeddings.dimension) {
    throw new OptionError(
      "invalid-option",
      `truncateEmbeddings: dimension is ${dimension}; expected a whole number from 1 to ${embeddings.dimension}, the dimension of the embeddings.`,
      { option: "dimension", found: dimension, highest: embeddings.dimension },
    );
  }
  const data = new Float32Array(embeddings.rows * dimension);
  for (let row = 0; row < embeddings.rows; row++) {
    const start = row * embeddings.dimension;
    data.set(embeddings.data.subarray(start, start + dimension), row * dimension);
  }
  return { data, rows: embeddings.rows, dimension };
}

/** Throws OptionError unless `data` holds exactly `rows * dimension` numbers. */
export function checkEmbeddings(embeddings: Embeddings, where: string): void {
  const { data, rows, dimension } = embeddings;
  if (data instanceof Float32Array && data.length === rows * dimension) return;
  throw new OptionError(
    "invalid-input",
    `${where}: the embeddings hold ${data?.length} numbers for ${rows} rows of ${dimension}; expected a Float32Array of ${rows * dimension}.`,
    { found: data?.length, rows, dimension },
  );
}

/**
 * Writes the dot products of some rows of `left` with some rows of `right`.
 *
 * A product is summed in double precision in the order of the dimension and rounded once, whatever block it is part of:
 * equal rows get equal scores.
 *
 * @param scores Receives `(leftEnd - leftStart) * (rightEnd - rightStart)` scores, row by row of `left`.
 */
export function writeDotProducts(
  left: Embeddings,
  leftStart: number,
  leftEnd: number,
  right: Embeddings,
  rightStart: number,
  rightEnd: number,
  scores: Float32Array,
): void {
  checkEmbeddings(left, "writeDotProducts");
  checkEmbeddings(right, "writeDotProducts");
  if (left.dimension !== right.dimension) {
    throw new OptionError(
      "invalid-input",
      `The embeddings have ${left.dimension} and ${right.dimension} dimensions; expected equally many to compare them.`,
      { left: left.dimension, right: right.dimension },
    );
  }
  const { dimension } = left;
  const [a, b] = [left.data, right.data];
  const width = rightEnd - rightStart;
  // Tiles of 2 x 4 products: each number that is loaded serves several of them.
  let row = leftStart;
  for (; row + 2 <= leftEnd; row += 2) {
    const a0 = row * dimension;
    const a1 = a0 + dimension;
    const out0 = (row - leftStart) * width - rightStart;
    const out1 = out0 + width;
    let column = rightStart;
    for (; column + 4 <= rightEnd; column += 4) {
      const b0 = column * dimension;
      const b1 = b0 + dimension;
      const b2 = b1 + dimension;
      const b3 = b2 + dimension;
      let [s00, s01, s02, s03, s10, s11, s12, s13] = [0, 0, 0, 0, 0, 0, 0, 0];
      for (let index = 0; index < dimension; index++) {
        const x0 = a[a0 + index]!;
        const x1 = a[a1 + index]!;
        const y0 = b[b0 + index]!;
        const y1 = b[b1 + index]!;
        const y2 = b[b2 + index]!;
        const y3 = b[b3 + index]!;
        s00 += x0 * y0;
        s01 += x0 * y1;
        s02 += x0 * y2;
        s03 += x0 * y3;
        s10 += x1 * y0;
        s11 += x1 * y1;
        s12 += x1 * y2;
        s13 += x1 * y3;
      }
      scores[out0 + column] = s00;
      scores[out0 + column + 1] = s01;
      scores[out0 + column + 2] = s02;
      scores[out0 + column + 3] = s03;
      scores[out1 + column] = s10;
      scores[out1 + column + 1] = s11;
      scores[out1 + column + 2] = s12;
      scores[out1 + column + 3] = s13;
    }
    for (; column < rightEnd; column++) {
      scores[out0 + column] = dotProduct(a, a0, b, column * dimension, dimension);
      scores[out1 + column] = dotProduct(a, a1, b, column * dimension, dimension);
    }
  }
  for (; row < leftEnd; row++) {
    const out = (row - leftStart) * width - rightStart;
    for (let column = rightStart; column < rightEnd; column++) {
      scores[out + column] = dotProduct(a, row * dimension, b, column * dimension, dimension);
    }
  }
}

function dotProduct(a: Float32Array, aStart: number, b: Float32Array, bStart: number, dimension: number): number {
  let sum = 0;
  for (let index = 0; index < dimension; index++) sum += a[aStart + index]! * b[bStart + index]!;
  return sum;
}
