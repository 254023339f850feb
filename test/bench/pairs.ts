import type { RetrievalData } from "@gradbank/bridge";
import { type Dataset, loadDataset, loadWordNet, NoDuplicatesBatchSampler, trainTestSplit } from "@gradbank/core";
import { BenchmarkError } from "./errors.ts";
import { seed } from "./workload.ts";

/** Rows of a batch, each one text a column. */
export type BatchRows = readonly (readonly string[])[];

/** Real pairs: some to train on, others to evaluate with. */
export interface Pairs {
  readonly train: Dataset;
  readonly retrieval: RetrievalData;
}

/**
 * Loads pairs and keeps some for the evaluation: their documents are the corpus, the first of their queries are asked.
 *
 * @param data a file; undefined: WordNet
 * @throws DataError when the file cannot be read; BenchmarkError "too-few-rows" or "too-few-columns"
 */
export async function loadPairs(
  data: string | undefined,
  { queries, documents }: { queries: number; documents: number },
): Promise<Pairs> {
  const dataset = data === undefined ? await loadWordNet() : await loadDataset(data);
  if (dataset.columnNames.length < 2)
    throw new BenchmarkError(
      "too-few-columns",
      `${data} has one column (${dataset.columnNames.join()}); expected two: the query and its document.`,
      { data, columnNames: dataset.columnNames },
    );
  if (dataset.length <= documents)
    throw new BenchmarkError(
      "too-few-rows",
      `${data} has ${dataset.length} rows; the evaluation alone takes ${documents}. Give more rows, or try --quick.`,
      { data, rows: dataset.length, documents },
    );
  const { train, test } = trainTestSplit(dataset, { testSize: documents, seed });
  const rows = await test.readRows(Int32Array.from({ length: documents }, (_, row) => row));
  const asked = rows.slice(0, queries);
  return {
    train,
    retrieval: {
      queries: Object.fromEntries(asked.map((row, index) => [`q${index}`, row[0]!])),
      corpus: Object.fromEntries(rows.map((row, index) => [`d${index}`, row[1]!])),
      relevantDocs: Object.fromEntries(asked.map((_, index) => [`q${index}`, [`d${index}`]])),
    },
  };
}

/**
 * Draws full batches without duplicates, epoch after epoch.
 *
 * @throws BenchmarkError "too-few-rows" when an epoch has no full batch
 */
export async function drawBatches(dataset: Dataset, batchSize: number, count: number): Promise<BatchRows[]> {
  const sampler = await NoDuplicatesBatchSampler.create(dataset, { batchSize, dropLast: true, seed });
  if (sampler.length === 0)
    throw new BenchmarkError(
      "too-few-rows",
      `${dataset.length} rows are left for training; a batch has ${batchSize}. Give more rows.`,
      { rows: dataset.length, batchSize },
    );
  const batches: BatchRows[] = [];
  for (let epoch = 0; batches.length < count; epoch++)
    for (const rows of sampler.batches(epoch)) {
      batches.push(await dataset.readRows(rows));
      if (batches.length === count) break;
    }
  return batches;
}
