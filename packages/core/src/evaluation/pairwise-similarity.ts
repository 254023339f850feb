import { checkEmbeddings, type Embeddings, normalizeEmbeddings } from "../embeddings.ts";
import { OptionError } from "../errors.ts";
import type { SimilarityFunctionName } from "../model-folder/read-model-folder.ts";

/** The similarity functions that embeddings can be compared by, row by row. */
export const similarityFunctionNames: readonly SimilarityFunctionName[] = ["cosine", "dot", "euclidean", "manhattan"];

/**
 * The similarity of row i of `left` and row i of `right`, as sentence-transformers' `pairwise_*_sim`: greater is closer.
 *
 * - cosine: x . y / (max(|x|, 1e-12) max(|y|, 1e-12))
 * - dot: x . y
 * - euclidean: -|x - y|
 * - manhattan: -(sum of |x_i - y_i|)
 *
 * A sum is taken in double precision and rounded once: equal rows get equal similarities.
 *
 * @returns One number a row. Throws OptionError unless both sides have the same rows and dimension.
 */
export function pairwiseSimilarity(name: SimilarityFunctionName, left: Embeddings, right: Embeddings): Float32Array {
  checkEmbeddings(left, "pairwiseSimilarity");
  checkEmbeddings(right, "pairwiseSimilarity");
  if (left.rows !== right.rows || left.dimension !== right.dimension) {
    throw new OptionError(
      "invalid-input",
      `The embeddings are ${left.rows} rows of ${left.dimension} and ${right.rows} rows of ${right.dimension}; expected the same to compare them row by row.`,
      { left: [left.rows, left.dimension], right: [right.rows, right.dimension] },
    );
  }
  switch (name) {
    case "cosine":
      return sumRows(normalizeEmbeddings(left), normalizeEmbeddings(right), (x, y) => x * y);
    case "dot":
      return sumRows(left, right, (x, y) => x * y);
    case "euclidean":
      return sumRows(
        left,
        right,
        (x, y) => Math.fround(x - y) ** 2,
        (sum) => -Math.sqrt(sum),
      );
    case "manhattan":
      return sumRows(
        left,
        right,
        (x, y) => Math.abs(Math.fround(x - y)),
        (sum) => -sum,
      );
  }
}

function sumRows(
  left: Embeddings,
  right: Embeddings,
  term: (x: number, y: number) => number,
  finish: (sum: number) => number = (sum) => sum,
): Float32Array {
  const found = new Float32Array(left.rows);
  for (let row = 0; row < left.rows; row++) {
    let sum = 0;
    for (let index = row * left.dimension; index < (row + 1) * left.dimension; index++) {
      sum += term(left.data[index]!, right.data[index]!);
    }
    found[row] = finish(sum);
  }
  return found;
}
