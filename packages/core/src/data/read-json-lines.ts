import { DataError } from "../errors.ts";
import { describeValue, quoteAll } from "./dataset.ts";
import { readTextFile } from "./read-text-file.ts";

/** Texts by column, read from one file. */
export interface TextColumns {
  columnNames: readonly string[];
  /** One array a column, in the order of `columnNames`. */
  columns: string[][];
}

/**
 * Reads a JSON Lines file: one JSON object a line, with a string for every column. Lines of white space are left out.
 *
 * @param wantedColumns The columns to keep, in order; without it, the keys of the first line.
 */
export async function readJsonLines(path: string, wantedColumns: readonly string[] | undefined): Promise<TextColumns> {
  let columnNames = wantedColumns;
  let columns: string[][] = wantedColumns?.map(() => []) ?? [];
  for await (const block of readTextFile(path)) {
    let line = block.firstLine - 1;
    for (const text of block.text.split("\n")) {
      line++;
      if (text.trim() === "") continue;
      const row = parseLine(text, path, line);
      if (columnNames === undefined) {
        columnNames = Object.keys(row);
        columns = columnNames.map(() => []);
        if (columnNames.length === 0) {
          throw new DataError(
            "missing-column",
            `${path}, line ${line}: the object has no keys; expected one key a text column.`,
            { path, line },
          );
        }
      } else if (wantedColumns === undefined) {
        checkNoOtherKeys(row, columnNames, path, line);
      }
      for (const [index, column] of columnNames.entries()) columns[index]!.push(readValue(row, column, path, line));
    }
  }
  return { columnNames: columnNames!, columns };
}

function parseLine(text: string, path: string, line: number): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const isArray = text.trimStart().startsWith("[");
    throw new DataError(
      "invalid-json",
      `${path}, line ${line}: not JSON (${(cause as Error).message}); expected one complete JSON object a line${isArray ? ", but the file looks like one JSON array: write its elements on lines of their own" : ""}.`,
      { path, line },
      { cause },
    );
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new DataError(
    "invalid-json",
    `${path}, line ${line}: holds ${describeValue(value)}; expected a JSON object such as {"anchor": "...", "positive": "..."}.`,
    { path, line, found: value },
  );
}

function readValue(row: Record<string, unknown>, column: string, path: string, line: number): string {
  if (!Object.hasOwn(row, column)) {
    throw new DataError(
      "missing-column",
      `${path}, line ${line}: column "${column}" is missing; the line has ${quoteAll(Object.keys(row))}.`,
      { path, line, column, found: Object.keys(row) },
    );
  }
  const value = row[column];
  if (typeof value === "string") return value;
  throw new DataError(
    "invalid-value",
    `${path}, line ${line}, column "${column}": holds ${describeValue(value)}; expected a string. Choose the text columns with the option columns when others are not text.`,
    { path, line, column, found: value },
  );
}

function checkNoOtherKeys(
  row: Record<string, unknown>,
  columnNames: readonly string[],
  path: string,
  line: number,
): void {
  const other = Object.keys(row).find((key) => !columnNames.includes(key));
  if (other === undefined) return;
  throw new DataError(
    "unexpected-column",
    `${path}, line ${line}: has a column "${other}" that the first line does not have (${quoteAll(columnNames)}). Choose the columns with the option columns.`,
    { path, line, column: other, columns: columnNames },
  );
}
