import { pipeline } from "node:stream/promises";
import { CsvError, parse } from "csv-parse";
import { DataError } from "../errors.ts";
import { checkColumnNames, quoteAll } from "./dataset.ts";
import type { TextColumns } from "./read-json-lines.ts";
import { readTextFile } from "./read-text-file.ts";

interface ParsedRecord {
  record: string[];
  info: { lines: number };
}

/**
 * Reads a file of delimited values (RFC 4180): the first line names the columns, a value in quotation marks may hold
 * delimiters, newlines and doubled quotation marks. Empty lines are left out.
 *
 * @param delimiter "," for CSV, "\t" for TSV.
 * @param quote Whether quotation marks enclose values; if not, they are text like any other.
 * @param wantedColumns The columns to keep, in order; without it, all.
 */
export async function readDelimited(
  path: string,
  delimiter: string,
  quote: boolean,
  wantedColumns: readonly string[] | undefined,
): Promise<TextColumns> {
  const parser = parse({
    delimiter,
    quote: quote ? '"' : null,
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    // The parser otherwise guesses from the first line and takes a lone newline in a CRLF file for text.
    record_delimiter: ["\r\n", "\n"],
  });

  let header: string[] | undefined;
  let columnNames: readonly string[] = [];
  let positions: number[] = [];
  let columns: string[][] = [];
  const accept = ({ record, info }: ParsedRecord): void => {
    const line = info.lines - record.reduce((count, value) => count + value.split("\n").length - 1, 0);
    if (header === undefined) {
      header = record;
      checkColumnNames(header, `${path}, line ${line}`, { path, line });
      columnNames = wantedColumns ?? header;
      positions = columnNames.map((name) => headerPosition(header!, name, path, line));
      columns = positions.map(() => []);
      return;
    }
    if (record.length !== header.length) {
      throw new DataError(
        "ragged-row",
        `${path}, line ${line}: has ${count(record.length, "value")}, but the header names ${count(header.length, "column")} (${quoteAll(header)}); expected one value a column. A value that holds ${delimiter === "\t" ? "a tab" : "a comma"} or a newline must stand in quotation marks.`,
        { path, line, found: record.length, expected: header.length },
      );
    }
    for (const [index, position] of positions.entries()) columns[index]!.push(record[position]!);
  };

  try {
    await pipeline(readTexts(path), parser, async (records: AsyncIterable<ParsedRecord>) => {
      for await (const parsed of records) accept(parsed);
    });
  } catch (error) {
    if (error instanceof CsvError) throw describeCsvError(error, path, quote);
    throw error;
  }
  if (columns[0]?.length) return { columnNames, columns };
  throw new DataError("empty-file", `${path} holds a header and no rows; expected at least one row.`, { path });
}

async function* readTexts(path: string): AsyncGenerator<string> {
  for await (const block of readTextFile(path)) yield block.text;
}

function headerPosition(header: readonly string[], name: string, path: string, line: number): number {
  const position = header.indexOf(name);
  if (position !== -1) return position;
  throw new DataError(
    "missing-column",
    `${path}, line ${line}: column "${name}" is missing; the header names ${quoteAll(header)}.`,
    { path, line, column: name, found: header },
  );
}

function describeCsvError(error: CsvError, path: string, quote: boolean): DataError {
  const line = Number(error.lines);
  const advice = quote
    ? ' Double a quotation mark inside a quoted value (""), or set the option quote to false if quotation marks are ordinary text.'
    : "";
  return new DataError(
    "invalid-quotes",
    `${path}, line ${line}: ${error.message}; expected values as in RFC 4180.${advice}`,
    { path, line },
    { cause: error },
  );
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}
