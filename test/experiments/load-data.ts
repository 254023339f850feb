import type { RetrievalData } from "@gradbank/bridge";
import { type Dataset, loadDataset, loadWordNet, selectRows, trainTestSplit } from "@gradbank/core";
import { ExperimentError } from "./errors.ts";
import type { ExperimentData } from "./experiment.ts";

/** Pairs of an experiment. */
export interface LoadedData {
  readonly train: Dataset;
  readonly retrieval: RetrievalData;
}

/**
 * Loads pairs, splits them, and makes the evaluation: test rows' documents are the corpus, the first of their queries are
 * asked.
 *
 * @throws ExperimentError "data-missing"; DataError when a file cannot be read
 */
export async function loadExperimentData(data: ExperimentData, path: string | undefined): Promise<LoadedData> {
  const all = data.source === "wordnet" ? await loadWordNet() : await loadDataset(requirePath(data, path));
  const { firstRows = all.length, documents, queries, splitSeed } = data;
  if (all.length < firstRows || all.length <= documents)
    throw new ExperimentError(
      "data-missing",
      `${path ?? "WordNet"} has ${all.length} rows; expected ${data.expected ?? `more than ${documents} rows`}.`,
      { path, rows: all.length, firstRows, documents },
    );
  const dataset =
    firstRows === all.length
      ? all
      : selectRows(
          all,
          Int32Array.from({ length: firstRows }, (_, i) => i),
        );
  const { train, test } = trainTestSplit(dataset, { testSize: documents, seed: splitSeed });
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

function requirePath(data: ExperimentData, path: string | undefined): string {
  if (path !== undefined) return path;
  throw new ExperimentError(
    "data-missing",
    `This experiment's data does not come with the install. Give it as a file: --data PATH, with ${data.expected ?? "pairs, query first"}.`,
    { expected: data.expected },
  );
}
