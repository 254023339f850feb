import {
  add,
  and,
  cast,
  concat,
  equal,
  greater,
  l2Normalize,
  less,
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
 * Rows of a ranking loss. With cosine similarity, all vectors are normalised already. `samples` (int32) say which
 * sample something belongs to; samples of the batch and of the bank have different numbers.
 */
export interface RankingRows {
  /** Queries of these rows, `[rows, d]`. */
  readonly anchors: Value;
  /** Their positives, `[rows, d]`. */
  readonly positives: Value;
  /** `[rows]`. */
  readonly samples: Value;
  /** int32 names of the rows' texts, `[rows]`: a candidate of another sample with such a name is no negative. */
  readonly texts?: { readonly anchors: Value; readonly positives: Value };
  /** Per direction, `[rows, parts]`: log-sum-exps of logits over candidates that are not in any block. */
  readonly knownPartitions?: readonly Value[];
}

/** One column of candidates. */
export interface CandidateBlock {
  /** `[candidates, d]`. */
  readonly vectors: Value;
  /** int32 `[candidates]`; negative for empty slots. */
  readonly samples: Value;
  /** int32 names of the texts, `[candidates]`; absent: none is taken out as a duplicate. */
  readonly texts?: Value;
  /** Some slots are empty. */
  readonly hasGaps?: boolean;
}

/** Candidates of one source, the batch or the bank. */
export interface Candidates {
  readonly queries: CandidateBlock;
  /** Positives, then each column of negatives. */
  readonly documents: readonly CandidateBlock[];
}

/** What a loss computes for each row. */
export interface RankingResults {
  /** `[rows]`. */
  readonly losses: Value;
  /** Documents that score higher than the row's positive, `[rows]`. */
  readonly positiveRanks: Value;
}

/**
 * Loss of each row: logZ_i - s+_i, where s+_i is the scaled similarity of the row's query and positive, and logZ_i the
 * logarithm of the sum of exponentials over the candidates of all blocks and directions (van den Oord et al., arXiv
 * 1807.03748; directions and partition as in sentence-transformers 6.2, MultipleNegativesRankingLoss).
 */
export function buildRankingRows(
  options: ResolvedRankingOptions,
  rows: RankingRows,
  sources: readonly Candidates[],
): RankingResults {
  const scored = options.directions.map((direction) =>
    sources.flatMap((source) => buildLogits(direction, options, rows, source)),
  );
  const partitions = scored.map((parts, index) => {
    const known = rows.knownPartitions?.[index];
    return known ? [known, ...parts] : parts;
  });
  const logPartition =
    options.partitionMode === "joint"
      ? logSumExpOf(partitions.flat())
      : multiply(
          partitions.map(logSumExpOf).reduce((sum, each) => add(sum, each)),
          1 / partitions.length,
        );
  const positive = multiply(reduceSum(multiply(rows.anchors, rows.positives), { axes: [1] }), options.scale);
  const documents = scored[options.directions.indexOf("query_to_doc")]!;
  return {
    losses: subtract(reshape(logPartition, positive.shape), positive),
    positiveRanks: documents
      .map((part) => countHigher(part, reshape(positive, [part.shape[0]!, 1])))
      .reduce((sum, count) => add(sum, count)),
  };
}

/** Logits of each row above a threshold that rounding cannot reach. */
function countHigher(logits: Value, threshold: Value): Value {
  const margin = add(threshold, 1e-4);
  return reduceSum(cast(greater(logits, margin), logits.dataType), { axes: [1] });
}

/**
 * Log-sum-exp of each row's logits over some candidates, per direction: what `knownPartitions` is made of.
 * @returns per direction `[rows, 1]`.
 */
export function buildPartitions(options: ResolvedRankingOptions, rows: RankingRows, candidates: Candidates): Value[] {
  return options.directions.map((direction) => logSumExpOf(buildLogits(direction, options, rows, candidates)));
}

/** Logit of what is no candidate: e to its power is 0 beside any real logit. */
export const outOfSoftmax = -1e30;

/** The vectors whose dot product is the similarity. */
export function similarityVectors({ similarityFunction }: ResolvedRankingOptions, embeddings: Value): Value {
  return similarityFunction === "cos_sim" ? l2Normalize(embeddings) : embeddings;
}

/** Log-sum-exp over all columns of several tensors, `[rows, 1]`. Each is reduced by itself: nothing is copied together. */
function logSumExpOf(parts: readonly Value[]): Value {
  const reduced = parts.map((part) => logSumExp(part, { axes: [1], keepDimensions: true }));
  return reduced.length === 1
    ? reduced[0]!
    : logSumExp(concat(reduced as [Value, ...Value[]], 1), { axes: [1], keepDimensions: true });
}

/**
 * Logits of a direction, one tensor a column of candidates. Candidates that are out of the softmax have `outOfSoftmax`
 * or less.
 * @returns `[rows, candidates]` each.
 */
export function buildLogits(
  direction: RankingDirection,
  options: ResolvedRankingOptions,
  rows: RankingRows,
  candidates: Candidates,
): Value[] {
  const { scale } = options;
  return rows.anchors.graph.scope(direction, () => {
    switch (direction) {
      case "query_to_doc":
        return candidates.documents.map((block, column) => {
          const similarities = similarity(rows.anchors, block);
          const scaled = penalize(options, rows, block, column, similarities, multiply(similarities, scale));
          return withoutUnusable(scaled, rows, block);
        });
      case "query_to_query":
        return [withoutOwn(multiply(similarity(rows.anchors, candidates.queries), scale), rows, candidates.queries)];
      case "doc_to_query":
        return [
          withoutUnusable(multiply(similarity(rows.positives, candidates.queries), scale), rows, candidates.queries),
        ];
      case "doc_to_doc":
        return candidates.documents.map((block) =>
          withoutOwn(multiply(similarity(rows.positives, block), scale), rows, block),
        );
    }
  });
}

/** Scores of all candidates for each row, `[rows, candidates]`. */
function similarity(vectors: Value, block: CandidateBlock): Value {
  return matmul(vectors, block.vectors, { transposeB: true });
}

/**
 * Takes candidates out of the softmax. A finite logit instead of minus infinity: where all candidates of a block are
 * taken out, its log-sum-exp must stay a number.
 */
function without(excluded: Value, logits: Value): Value {
  return where(excluded, outOfSoftmax, logits);
}

function withoutOwn(logits: Value, rows: RankingRows, block: CandidateBlock): Value {
  return withoutUnusable(without(pairwiseEqual(rows.samples, block.samples), logits), rows, block);
}

/** Takes out empty slots and other samples' copies of the row's own texts. */
function withoutUnusable(logits: Value, rows: RankingRows, block: CandidateBlock): Value {
  let usable = logits;
  if (block.hasGaps) usable = without(asCandidates(less(block.samples, 0)), usable);
  if (rows.texts && block.texts) {
    const foreign = not(pairwiseEqual(rows.samples, block.samples));
    for (const own of [rows.texts.anchors, rows.texts.positives])
      usable = without(and(pairwiseEqual(own, block.texts), foreign), usable);
  }
  return usable;
}

/** Whether row and candidate have the same number, `[rows, candidates]`. */
function pairwiseEqual(rows: Value, candidates: Value): Value {
  return equal(reshape(rows, [rows.shape[0]!, 1]), asCandidates(candidates));
}

function asCandidates(values: Value): Value {
  return reshape(values, [1, values.shape[0]!]);
}

/** Adds the hardness penalty to the logits of the documents that it concerns. */
function penalize(
  { hardnessMode, hardnessStrength }: ResolvedRankingOptions,
  rows: RankingRows,
  block: CandidateBlock,
  column: number,
  similarities: Value,
  logits: Value,
): Value {
  if (hardnessMode === null || hardnessStrength === 0) return logits;
  const penalty = multiply(stopGradient(similarities), hardnessStrength);
  const own = () => pairwiseEqual(rows.samples, block.samples);
  const isPositive = column === 0;
  switch (hardnessMode) {
    case "in_batch_negatives":
      return add(logits, where(own(), 0, penalty));
    case "hard_negatives":
      return isPositive ? logits : add(logits, where(own(), penalty, 0));
    case "all_negatives":
      return add(logits, isPositive ? where(own(), 0, penalty) : penalty);
  }
}
