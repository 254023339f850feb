import { DataError } from "../errors.ts";

/**
 * A table of texts. Columns have roles by their order: the first is the anchor, the second the positive, the others
 * negatives; their names are labels only.
 */
export interface Dataset {
  /** The columns, in order. No name occurs twice. */
  readonly columnNames: readonly string[];
  /** The number of rows. */
  readonly length: number;
  /**
   * Reads rows in the order asked; a row may be asked for more than once.
   *
   * @param indices Row numbers, each from 0 to `length - 1`.
   * @returns One array a row, with one text a column, in the order of `columnNames`.
   */
  readRows(indices: ArrayLike<number>): Promise<string[][]>;
}

/** A data set whose texts lie in memory, column by column. */
export class InMemoryDataset implements Dataset {
  readonly columnNames: readonly string[];
  readonly length: number;
  readonly #columns: readonly (readonly string[])[];

  /**
   * @param columnNames The columns, in order.
   * @param columns One array of texts a column, all equally long. The arrays are kept, not copied. Throws DataError when
   *   there is no column, when lengths differ or when a value is not a string.
   */
  constructor(columnNames: readonly string[], columns: readonly (readonly string[])[]) {
    this.columnNames = columnNames;
    this.#columns = columns;
    checkColumnNames(this.columnNames, "InMemoryDataset");
    if (columns.length !== columnNames.length) {
      throw new DataError(
        "missing-column",
        `InMemoryDataset: ${columns.length} columns were given for the names ${quoteAll(columnNames)}; expected ${columnNames.length}.`,
        { found: columns.length, expected: columnNames.length },
      );
    }
    this.length = columns[0]!.length;
    for (const [index, texts] of this.#columns.entries()) {
      const column = this.columnNames[index]!;
      if (texts.length !== this.length) {
        throw new DataError(
          "ragged-columns",
          `InMemoryDataset: column "${column}" has ${texts.length} rows, but column "${this.columnNames[0]}" has ${this.length}; expected equally many in every column.`,
          { column, found: texts.length, expected: this.length },
        );
      }
      const wrong = texts.findIndex((text) => typeof text !== "string");
      if (wrong !== -1) {
        throw new DataError(
          "invalid-value",
          `InMemoryDataset: row ${wrong}, column "${column}" holds ${describeValue(texts[wrong])}; expected a string.`,
          { row: wrong, column, found: texts[wrong] },
        );
      }
    }
  }

  /**
   * Makes a data set from rows.
   *
   * @param columnNames The columns, in order.
   * @param rows One array a row, with one text a column. Throws DataError when a row has another number of texts.
   */
  static fromRows(columnNames: readonly string[], rows: readonly (readonly string[])[]): InMemoryDataset {
    checkColumnNames(columnNames, "InMemoryDataset.fromRows");
    for (const [index, row] of rows.entries()) {
      if (row.length !== columnNames.length) {
        throw new DataError(
          "ragged-row",
          `InMemoryDataset.fromRows: row ${index} has ${row.length} values; expected ${columnNames.length} (${quoteAll(columnNames)}).`,
          { row: index, found: row.length, expected: columnNames.length },
        );
      }
    }
    return new InMemoryDataset(
      columnNames,
      columnNames.map((_, column) => rows.map((row) => row[column]!)),
    );
  }

  /**
   * Makes a data set from an object: `InMemoryDataset.fromColumns({ anchor: [...], positive: [...] })`.
   *
   * @param columns Each column's texts by its name. JavaScript moves keys that are whole numbers to the front: use the
   *   constructor for such names.
   */
  static fromColumns(columns: Readonly<Record<string, readonly string[]>>): InMemoryDataset {
    return new InMemoryDataset(Object.keys(columns), Object.values(columns));
  }

  async readRows(indices: ArrayLike<number>): Promise<string[][]> {
    checkRowIndices(indices, this.length);
    return Array.from(indices, (row) => this.#columns.map((texts) => texts[row]!));
  }
}

/**
 * A view of some rows of a data set, in the order given.
 *
 * @param indices Row numbers of `dataset`; a row may occur more than once. Throws DataError for one that is not there.
 */
export function selectRows(dataset: Dataset, indices: ArrayLike<number>): Dataset {
  checkRowIndices(indices, dataset.length);
  const rows = Int32Array.from(indices);
  return {
    columnNames: dataset.columnNames,
    length: rows.length,
    async readRows(wanted) {
      checkRowIndices(wanted, rows.length);
      return dataset.readRows(Int32Array.from(wanted, (row) => rows[row]!));
    },
  };
}

/**
 * A view of some columns of a data set, in the order given: this is how roles are assigned.
 *
 * @param columnNames Names of columns of `dataset`. Throws DataError for one that is not there or occurs twice.
 */
export function selectColumns(dataset: Dataset, columnNames: readonly string[]): Dataset {
  checkColumnNames(columnNames, "selectColumns");
  const positions = columnNames.map((name) => columnPosition(dataset, name, "selectColumns"));
  return {
    columnNames: [...columnNames],
    length: dataset.length,
    async readRows(indices) {
      const rows = await dataset.readRows(indices);
      return rows.map((row) => positions.map((position) => row[position]!));
    },
  };
}

/**
 * A view of a data set with other column names, in the same order.
 *
 * @param names New names by old name; columns that are not mentioned keep theirs. Throws DataError for an old name that
 *   is not there and for a new name that another column has.
 */
export function renameColumns(dataset: Dataset, names: Readonly<Record<string, string>>): Dataset {
  for (const name of Object.keys(names)) columnPosition(dataset, name, "renameColumns");
  const columnNames = dataset.columnNames.map((name) => (Object.hasOwn(names, name) ? names[name]! : name));
  checkColumnNames(columnNames, "renameColumns");
  return { columnNames, length: dataset.length, readRows: (indices) => dataset.readRows(indices) };
}

/** Throws DataError unless there is a column and every name is a string with a character, used once. */
export function checkColumnNames(names: readonly string[], where: string, facts: Record<string, unknown> = {}): void {
  if (names.length === 0) {
    throw new DataError("missing-column", `${where}: there is no column; expected at least one.`, facts);
  }
  const seen = new Set<string>();
  for (const name of names) {
    if (typeof name !== "string" || name === "") {
      throw new DataError(
        "missing-column",
        `${where}: the columns are ${quoteAll(names)}; expected a name for each of them.`,
        { ...facts, columns: names },
      );
    }
    if (seen.has(name)) {
      throw new DataError(
        "duplicate-column",
        `${where}: the column name "${name}" occurs twice in ${quoteAll(names)}; expected each name once.`,
        { ...facts, column: name, columns: names },
      );
    }
    seen.add(name);
  }
}

/** Names in quotation marks, with commas, for messages. */
export function quoteAll(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.map((name) => JSON.stringify(name)).join(", ");
}

/** A value for messages: what kind it is, and its text when that is short. */
export function describeValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object") return "an object";
  return `the ${typeof value} ${String(value).slice(0, 40)}`;
}

function columnPosition(dataset: Dataset, name: string, where: string): number {
  const position = dataset.columnNames.indexOf(name);
  if (position !== -1) return position;
  throw new DataError(
    "missing-column",
    `${where}: there is no column "${name}"; the data set has ${quoteAll(dataset.columnNames)}.`,
    { column: name, columns: dataset.columnNames },
  );
}

function checkRowIndices(indices: ArrayLike<number>, length: number): void {
  for (let position = 0; position < indices.length; position++) {
    const row = indices[position]!;
    if (!Number.isInteger(row) || row < 0 || row >= length) {
      throw new DataError(
        "row-out-of-range",
        `row ${row} was asked for (position ${position} of ${indices.length}), but the data set has ${length} rows; expected a whole number from 0 to ${length - 1}.`,
        { row, position, length },
      );
    }
  }
}
