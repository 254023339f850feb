/** At which ranks the metrics of a retrieval are cut off. */
export interface RetrievalCutoffs {
  accuracyAtK: readonly number[];
  precisionRecallAtK: readonly number[];
  mrrAtK: readonly number[];
  ndcgAtK: readonly number[];
  mapAtK: readonly number[];
}

/** The metrics of one retrieval, each by its cut-off k. */
export type RetrievalMetrics = Record<
  "accuracy" | "precision" | "recall" | "ndcg" | "mrr" | "map",
  ReadonlyMap<number, number>
>;

/** What was found for one query. */
export interface Retrieval {
  /** For each document that was found, the best first: whether it is relevant. */
  hits: readonly boolean[];
  /** The number of relevant documents that there are; at least 1. */
  relevant: number;
}

/**
 * The metrics of sentence-transformers' InformationRetrievalEvaluator, as means over queries. With h_i = 1 when the
 * document of rank i is relevant, and R relevant documents:
 *
 * - accuracy@k: 1 if any h_i for i <= k
 * - precision@k: (sum of h_i for i <= k) / k; recall@k: the same sum / R
 * - mrr@k: 1 / the first i <= k with h_i, else 0
 * - ndcg@k: (sum of h_i / log2(i + 1) for i <= k) / (sum of 1 / log2(i + 1) for i <= min(k, R))
 * - map@k: (sum over i <= k with h_i of precision@i) / min(k, R)
 */
export function computeRetrievalMetrics(retrievals: readonly Retrieval[], cutoffs: RetrievalCutoffs): RetrievalMetrics {
  const mean = (cutoffsOfMetric: readonly number[], metric: (retrieval: Retrieval, k: number) => number) =>
    new Map(
      cutoffsOfMetric.map((k) => [
        k,
        retrievals.reduce((sum, retrieval) => sum + metric(retrieval, k), 0) / retrievals.length,
      ]),
    );
  return {
    accuracy: mean(cutoffs.accuracyAtK, ({ hits }, k) => (countHits(hits, k) > 0 ? 1 : 0)),
    precision: mean(cutoffs.precisionRecallAtK, ({ hits }, k) => countHits(hits, k) / k),
    recall: mean(cutoffs.precisionRecallAtK, ({ hits, relevant }, k) => countHits(hits, k) / relevant),
    ndcg: mean(cutoffs.ndcgAtK, ({ hits, relevant }, k) => discountedGain(hits, k) / idealGain(relevant, k)),
    mrr: mean(cutoffs.mrrAtK, ({ hits }, k) => {
      const first = hits.slice(0, k).indexOf(true);
      return first === -1 ? 0 : 1 / (first + 1);
    }),
    map: mean(cutoffs.mapAtK, ({ hits, relevant }, k) => {
      let found = 0;
      let sum = 0;
      for (let index = 0; index < Math.min(k, hits.length); index++) {
        if (hits[index]) sum += ++found / (index + 1);
      }
      return sum / Math.min(k, relevant);
    }),
  };
}

function countHits(hits: readonly boolean[], k: number): number {
  let count = 0;
  for (let index = 0; index < Math.min(k, hits.length); index++) if (hits[index]) count++;
  return count;
}

function discountedGain(hits: readonly boolean[], k: number): number {
  let gain = 0;
  for (let index = 0; index < Math.min(k, hits.length); index++) if (hits[index]) gain += 1 / Math.log2(index + 2);
  return gain;
}

function idealGain(relevant: number, k: number): number {
  let gain = 0;
  for (let index = 0; index < Math.min(k, relevant); index++) gain += 1 / Math.log2(index + 2);
  return gain;
}
