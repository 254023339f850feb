import { type Dataset, InformationRetrievalEvaluator } from "@gradbank/core";

/** A task: find the right document among all for each query. */
export interface RetrievalTask {
  readonly evaluator: InformationRetrievalEvaluator;
  readonly queries: number;
  readonly documents: number;
}

/**
 * Makes a retrieval task of pairs: the first texts of some rows are queries, the second texts of all rows are the
 * documents. A text that stands in several rows is one query or one document; all of its partners are right.
 *
 * @param name Prefix of the metrics.
 * @param dataset Rows whose first column is the query and whose second is its document.
 * @param queryRows The first so many rows give queries; the others' documents are distractors.
 */
export async function createRetrievalTask(name: string, dataset: Dataset, queryRows: number): Promise<RetrievalTask> {
  const rows = await dataset.readRows(Int32Array.from({ length: dataset.length }, (_, row) => row));
  const documentIds = new Map<string, string>();
  for (const [, document] of rows)
    if (!documentIds.has(document!)) documentIds.set(document!, `document-${documentIds.size}`);
  const queryIds = new Map<string, string>();
  const relevantDocs = new Map<string, Set<string>>();
  for (const [query, document] of rows.slice(0, queryRows)) {
    const id = queryIds.get(query!) ?? `query-${queryIds.size}`;
    queryIds.set(query!, id);
    relevantDocs.set(id, (relevantDocs.get(id) ?? new Set()).add(documentIds.get(document!)!));
  }
  // A document of a distractor's row is right as well when that row has the same query.
  for (const [query, document] of rows.slice(queryRows)) {
    const id = queryIds.get(query!);
    if (id) relevantDocs.get(id)!.add(documentIds.get(document!)!);
  }
  return {
    evaluator: new InformationRetrievalEvaluator({
      name,
      queries: new Map(Array.from(queryIds, ([text, id]) => [id, text])),
      corpus: new Map(Array.from(documentIds, ([text, id]) => [id, text])),
      relevantDocs,
    }),
    queries: queryIds.size,
    documents: documentIds.size,
  };
}
