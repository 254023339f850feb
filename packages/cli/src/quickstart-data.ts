import { type Dataset, loadDataset, loadWordNet, selectRows, trainTestSplit } from "@gradbank/core";
import { CommandError } from "./errors.ts";
import { createRetrievalTask, type RetrievalTask } from "./retrieval-task.ts";

/** What a quickstart trains on and is measured by. */
export interface QuickstartData {
  /** Where it is from. */
  readonly name: string;
  readonly train: Dataset;
  /** Rows held back from training. */
  readonly task: RetrievalTask;
  /** The first training row: a text a column. */
  readonly example: readonly string[];
}

const seed = 12;
const testRows = 3000;
const queryRows = 500;
const fewestRows = 10;

/**
 * Loads pairs and parts them: up to 3,000 rows, at most a fifth, are held back for the test, 500 of them as queries; up
 * to `trainPairs` of the others are for training.
 *
 * @param path JSON Lines, CSV or TSV; undefined: WordNet as a reverse dictionary.
 * @throws DataError of `loadDataset` and `loadWordNet`; CommandError "too-few-rows".
 */
export async function loadQuickstartData(path: string | undefined, trainPairs: number): Promise<QuickstartData> {
  const dataset = path === undefined ? await loadWordNet() : await loadDataset(path);
  const name = path ?? "WordNet, as a reverse dictionary";
  if (dataset.length < fewestRows || dataset.columnNames.length < 2)
    throw new CommandError(
      "too-few-rows",
      `${name} has ${dataset.length} rows of ${dataset.columnNames.length} columns; quickstart needs at least ${fewestRows} rows, part of them for a test, and two columns: anchor and positive.`,
      { data: name, rows: dataset.length, columnNames: dataset.columnNames, fewestRows },
    );
  const { train, test } = trainTestSplit(dataset, {
    testSize: Math.min(testRows, Math.floor(dataset.length / 5)),
    seed,
  });
  const rows = Int32Array.from({ length: Math.min(trainPairs, train.length) }, (_, row) => row);
  return {
    name,
    train: selectRows(train, rows),
    task: await createRetrievalTask(path === undefined ? "wordnet-test" : "test", test, queryRows),
    example: (await train.readRows([0]))[0]!,
  };
}
