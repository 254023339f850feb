import { extname } from "node:path";
import { DataError } from "../errors.ts";
import { checkColumnNames, type Dataset, InMemoryDataset } from "./dataset.ts";
import { readDelimited } from "./read-delimited.ts";
import { readJsonLines, type TextColumns } from "./read-json-lines.ts";

export type DatasetFormat = "jsonl" | "csv" | "tsv";

export interface LoadDatasetOptions {
  /** How the file is written. Default: by its extension (.jsonl, .ndjson, .json: JSON Lines; .csv; .tsv). */
  format?: DatasetFormat;
  /**
   * The text columns to keep, in the order of their roles (anchor, positive, negatives). Default: all columns, in the
   * order of the file.
   */
  columns?: readonly string[];
  /** Whether quotation marks enclose values in CSV and TSV; false: they are text like any other. Default true. */
  quote?: boolean;
}

const formats: ReadonlyMap<string, DatasetFormat> = new Map([
  [".jsonl", "jsonl"],
  [".ndjson", "jsonl"],
  [".json", "jsonl"],
  [".csv", "csv"],
  [".tsv", "tsv"],
]);

/**
 * Reads a file of texts into memory: JSON Lines, CSV or TSV, in UTF-8, with or without a byte order mark, with LF or
 * CRLF.
 *
 * Throws DataError, with the file, the line and the column, when the file is missing, a folder, empty, not UTF-8 or not
 * of its format, when a column is missing, and when a value is not a string.
 */
export async function loadDataset(path: string, options: LoadDatasetOptions = {}): Promise<Dataset> {
  const format = options.format ?? formats.get(extname(path).toLowerCase());
  if (options.columns) checkColumnNames(options.columns, "loadDataset, option columns");
  const { columnNames, columns } = await read(path, format, options);
  return new InMemoryDataset(columnNames, columns);
}

function read(path: string, format: DatasetFormat | undefined, options: LoadDatasetOptions): Promise<TextColumns> {
  const { columns, quote = true } = options;
  switch (format) {
    case "jsonl":
      return readJsonLines(path, columns);
    case "csv":
      return readDelimited(path, ",", quote, columns);
    case "tsv":
      return readDelimited(path, "\t", quote, columns);
  }
  throw new DataError(
    "unknown-format",
    format === undefined
      ? `${path}: the extension "${extname(path)}" does not say how the file is written; expected ${[...formats.keys()].join(", ")}, or the option format.`
      : `${path}: format is "${format}"; expected "jsonl", "csv" or "tsv".`,
    { path, format },
  );
}
