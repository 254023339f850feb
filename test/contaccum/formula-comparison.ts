import type { ContAccumOptions, FloatTensor, Reference, ReferenceBank } from "@gradbank/bridge";
import { expectClose } from "../support/expect-close.ts";

/** Half a unit in the last place of a float32 number near 1. */
const rounding = 2 ** -24;

/** Roundings that a logit or a sum has behind it at most. */
const roundings = 6;

export interface FormulaComparison {
  readonly reference: Reference;
  /** The batch's embeddings, one a column, flat `[rows, dimension]`. */
  readonly embeddings: readonly Float32Array[];
  readonly dimension: number;
  readonly bank: ReferenceBank | undefined;
  readonly options: ContAccumOptions;
  readonly ours: { readonly loss: number; readonly gradients: readonly Float32Array[] };
}

/**
 * Checks a loss and its gradients against the formula in float64.
 *
 * The tolerance is that of float32: a logit is as exact as its size allows, and a probability as its logit. A gradient is
 * a sum of vectors times probabilities: it is judged by its column's norm, and by the size of what cancels in one row.
 */
export async function compareWithFormula(comparison: FormulaComparison): Promise<void> {
  const { reference, embeddings, dimension, bank, options, ours } = comparison;
  const rows = embeddings[0]!.length / dimension;
  const tensors = embeddings.map((data): FloatTensor => ({ dtype: "float32", shape: [rows, dimension], data }));
  const theirs = await reference.contAccumLoss(tensors, bank, options);

  const cosine = options.similarityFct !== "dot_score";
  const norms = embeddings.flatMap((column) => rowNorms(column, dimension));
  const longest = cosine
    ? 1
    : Math.max(...norms, ...(bank?.columns ?? []).flatMap(({ data }) => rowNorms(data, dimension)));
  const { scale = 20, hardnessStrength = 0 } = options;
  const exactness = roundings * rounding * (scale + hardnessStrength) * longest ** 2;
  const cached = bank && options.cacheQueries !== false ? bank.columns[0]!.shape[0]! : 0;
  const lossRows = rows + cached;
  const weight = 1 / (options.rowWeighting === "current" ? rows : lossRows);
  const share = lossRows * weight;
  expectClose([ours.loss], [theirs.loss], share * exactness + roundings * rounding * theirs.loss, "loss");
  const oneRow = (weight * scale * longest) / (cosine ? Math.min(...norms) : 1);
  theirs.gradients.forEach(({ data }, column) => {
    const tolerance = exactness * (Math.hypot(...data) + oneRow);
    expectClose(ours.gradients[column]!, data, tolerance, `gradient of column ${column}`);
  });
}

function rowNorms(values: ArrayLike<number>, dimension: number): number[] {
  return Array.from({ length: values.length / dimension }, (_, row) =>
    Math.hypot(...Array.from({ length: dimension }, (__, index) => values[row * dimension + index]!)),
  );
}
