import {
  add,
  and,
  concat,
  equal,
  l2Normalize,
  logSumExp,
  matmul,
  multiply,
  not,
  reduceSum,
  reshape,
  stopGradient,
  subtract,
  type Value,
  where,
} from "@gradbank/graph";
import type { RankingDirection, ResolvedRankingOptions } from "./ranking-options.ts";

/**
 * What the loss of some rows is built from. With cosine similarity, all vectors are normalised already.
 * `rows` of them stand in the softmax; `samples` says which sample of the batch something belongs to (int32).
 */
export interface RankingTensors {
  /** Queries of these rows, `[rows, d]`. */
  readonly anchors: Value;
  /** Positives of these rows, `[rows, d]`. */
  readonly positives: Value;
  /** Samples of these rows, `[rows]`. */
  readonly rowSamples: Value;
  /** All queries, `[queries, d]`; read by directions that end in queries. */
  readonly queries: Value;
  readonly querySamples: Value;
  /** All documents, column after column, `[documents, d]`. */
  readonly documents: Value;
  readonly documentSamples: Value;
  /** Column of each document, int32: 0 for positives. Read by hardness modes. */
  readonly documentColumns: Value;
}

/**
 * Loss of each row: logZ_i - s+_i, where s+_i is the scaled similarity of the row's query and positive, and logZ_i the
 * logarithm of the sum of exponentials over the candidates of all directions (van den Oord et al., arXiv 1807.03748;
 * directions and partition as in sentence-transformers 6.2, MultipleNegativesRankingLoss).
 * @returns `[rows]`.
 */
export function buildRankingRowLosses(options: ResolvedRankingOptions, tensors: RankingTensors): Value {
  const { scale, partitionMode, directions } = options;
  const { graph } = tensors.anchors;
  const logits = directions.map((direction) =>
    graph.scope(direction, () => directionLogits[direction](options, tensors)),
  );
  const logPartition =
    partitionMode === "joint" || logits.length === 1
      ? logSumExp(concat(logits as [Value, ...Value[]], 1), { axes: [1] })
      : multiply(
          logits.map((each) => logSumExp(each, { axes: [1] })).reduce((sum, each) => add(sum, each)),
          1 / logits.length,
        );
  const positive = reduceSum(multiply(tensors.anchors, tensors.positives), { axes: [1] });
  return subtract(logPartition, multiply(positive, scale));
}

/** The vectors whose dot product is the similarity. */
export function similarityVectors({ similarityFunction }: ResolvedRankingOptions, embeddings: Value): Value {
  return similarityFunction === "cos_sim" ? l2Normalize(embeddings) : embeddings;
}

type LogitsBuilder = (options: ResolvedRankingOptions, tensors: RankingTensors) => Value;

const directionLogits: Readonly<Record<RankingDirection, LogitsBuilder>> = {
  query_to_doc: (options, tensors) => {
    const similarities = similarity(tensors.anchors, tensors.documents);
    const logits = multiply(similarities, options.scale);
    const penalized = hardnessMask(options, tensors);
    if (!penalized) return logits;
    const penalty = multiply(stopGradient(similarities), options.hardnessStrength);
    return add(logits, where(penalized, penalty, 0));
  },
  query_to_query: ({ scale }, { anchors, queries, rowSamples, querySamples }) =>
    without(sameSample(rowSamples, querySamples), multiply(similarity(anchors, queries), scale)),
  doc_to_query: ({ scale }, { positives, queries }) => multiply(similarity(positives, queries), scale),
  doc_to_doc: ({ scale }, { positives, documents, rowSamples, documentSamples }) =>
    without(sameSample(rowSamples, documentSamples), multiply(similarity(positives, documents), scale)),
};

/** Scores of all rows of `b` for each row of `a`, `[rows of a, rows of b]`. */
function similarity(a: Value, b: Value): Value {
  return matmul(a, b, { transposeB: true });
}

/** Takes candidates out of the softmax. */
function without(excluded: Value, logits: Value): Value {
  return where(excluded, Number.NEGATIVE_INFINITY, logits);
}

/** Whether row and candidate belong to one sample, `[rows, candidates]`. */
function sameSample(rows: Value, candidates: Value): Value {
  return equal(reshape(rows, [rows.shape[0]!, 1]), reshape(candidates, [1, candidates.shape[0]!]));
}

/** Which documents are penalised in each row; undefined where none is. */
function hardnessMask(options: ResolvedRankingOptions, tensors: RankingTensors): Value | undefined {
  if (options.hardnessMode === null || options.hardnessStrength === 0) return undefined;
  const own = sameSample(tensors.rowSamples, tensors.documentSamples);
  const isPositive = reshape(equal(tensors.documentColumns, 0), [1, tensors.documentColumns.shape[0]!]);
  switch (options.hardnessMode) {
    case "in_batch_negatives":
      return not(own);
    case "hard_negatives":
      return and(own, not(isPositive));
    case "all_negatives":
      return not(and(own, isPositive));
  }
}
