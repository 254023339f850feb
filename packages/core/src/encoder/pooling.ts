import {
  cast,
  cumulativeSum,
  divide,
  equal,
  expand,
  matmul,
  maximum,
  multiply,
  reduceMax,
  reduceSum,
  reshape,
  slice,
  type Value,
  where,
} from "@gradbank/graph";
import type { PoolingMode } from "../model-folder/read-model-folder.ts";

/** What sentence-transformers puts in the place of padding before it takes the maximum. */
const belowEveryToken = -1e9;

/**
 * Pools token vectors.
 * @param hidden `[rows*length, width]`.
 * @param attentionMask int64 `[rows, length]`.
 * @returns `[rows, width]`.
 */
export function buildPooling(mode: PoolingMode, hidden: Value, attentionMask: Value): Value {
  const [rows, length] = attentionMask.shape as [string, string];
  const width = hidden.shape[1]!;
  const tokens = reshape(hidden, [rows, length, width]);
  const mask = cast(attentionMask, "float32");
  switch (mode) {
    case "mean":
      return weightedMean(tokens, mask);
    case "weightedmean":
      // Weights 1, 2, 3, ...: the place of each token in its text.
      return weightedMean(
        tokens,
        multiply(mask, cumulativeSum(expand(mask.graph.scalar("float32", 1), [rows, length]), 1)),
      );
    case "cls":
      return reshape(slice(tokens, 1, 0, 1), [rows, width]);
    case "max":
      return reduceMax(where(reshape(equal(attentionMask, 1), [rows, length, 1]), tokens, belowEveryToken), {
        axes: [1],
      });
    case "lasttoken": {
      const place = cumulativeSum(mask, 1);
      const isLast = equal(place, reduceSum(mask, { axes: [1], keepDimensions: true }));
      // Padding after the last token has the same count and is masked out.
      return weightedSum(tokens, multiply(cast(isLast, "float32"), mask));
    }
  }
}

function weightedMean(tokens: Value, weights: Value): Value {
  const total = maximum(reduceSum(weights, { axes: [1], keepDimensions: true }), 1e-9);
  return divide(weightedSum(tokens, weights), total);
}

function weightedSum(tokens: Value, weights: Value): Value {
  const [rows, length, width] = tokens.shape as [string, string, number];
  return reshape(matmul(reshape(weights, [rows, 1, length]), tokens), [rows, width]);
}
