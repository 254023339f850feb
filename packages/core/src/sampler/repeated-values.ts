import type { Dataset } from "../data/dataset.ts";

/**
 * The values that several rows of a data set share, as numbers. A value that occurs in one row only can never meet itself
 * in a batch, so it is left out.
 */
export interface RepeatedValues {
  /** The number of different values that occur in two rows or more. */
  count: number;
  /** Where the values of row r begin in `values`; they end where those of row r + 1 begin. Length rows + 1. */
  rowStarts: Int32Array;
  /** The values of all rows, from 0 to `count - 1`, each once a row. */
  values: Int32Array;
  /** Where the rows of value v begin when all values are laid out one after another. Length count + 1. */
  valueStarts: Int32Array;
}

/** Columns that sentence-transformers does not compare: labels and the name of the data set. */
const uncomparedColumns = new Set(["dataset_name", "label", "labels", "score", "scores"]);

const rowsAtOnce = 8192;

/**
 * Finds the values that several rows share, across columns. Texts are compared by a hash of 64 bits and not kept: two
 * different texts of a million are taken for the same one with a probability of 3e-8, and then merely kept apart.
 */
export async function findRepeatedValues(dataset: Dataset): Promise<RepeatedValues> {
  const compared = dataset.columnNames.map((name) => !uncomparedColumns.has(name));
  const columns = compared.filter(Boolean).length;
  const rows = dataset.length;
  const numbers = new TextNumbers();
  const cells = new Int32Array(rows * columns);
  let filled = 0;
  for (let start = 0; start < rows; start += rowsAtOnce) {
    const indices = Int32Array.from({ length: Math.min(rowsAtOnce, rows - start) }, (_, index) => start + index);
    for (const row of await dataset.readRows(indices)) {
      for (let column = 0; column < row.length; column++) {
        if (compared[column]) cells[filled++] = numbers.numberOf(row[column]!);
      }
    }
  }

  const rowsOfText = new Int32Array(numbers.count);
  const lastRowOfText = new Int32Array(numbers.count).fill(-1);
  for (let cell = 0; cell < cells.length; cell++) {
    const row = Math.floor(cell / columns);
    const text = cells[cell]!;
    if (lastRowOfText[text] === row) {
      cells[cell] = -1;
    } else {
      lastRowOfText[text] = row;
      rowsOfText[text]!++;
    }
  }

  const valueOfText = new Int32Array(numbers.count).fill(-1);
  let count = 0;
  let length = 0;
  for (let text = 0; text < numbers.count; text++) {
    if (rowsOfText[text]! < 2) continue;
    valueOfText[text] = count++;
    length += rowsOfText[text]!;
  }
  const valueStarts = new Int32Array(count + 1);
  for (let text = 0; text < numbers.count; text++) {
    const value = valueOfText[text]!;
    if (value !== -1) valueStarts[value + 1] = valueStarts[value]! + rowsOfText[text]!;
  }

  const rowStarts = new Int32Array(rows + 1);
  const values = new Int32Array(length);
  let written = 0;
  for (let row = 0; row < rows; row++) {
    for (let cell = row * columns; cell < (row + 1) * columns; cell++) {
      const text = cells[cell]!;
      if (text !== -1 && valueOfText[text] !== -1) values[written++] = valueOfText[text]!;
    }
    rowStarts[row + 1] = written;
  }
  return { count, rowStarts, values, valueStarts };
}

/** Numbers texts in the order of their first occurrence, in an open hash table of 64-bit hashes. */
class TextNumbers {
  count = 0;
  #mask = 2 ** 16 - 1;
  #high = new Uint32Array(this.#mask + 1);
  #low = new Uint32Array(this.#mask + 1);
  #number = new Int32Array(this.#mask + 1).fill(-1);

  numberOf(text: string): number {
    let high = 0x9e3779b9;
    let low = 0x7f4a7c15;
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      high = Math.imul(high ^ unit, 0x85ebca6b);
      high = (high << 13) | (high >>> 19);
      low = Math.imul(low ^ unit, 0xc2b2ae35);
      low = (low << 17) | (low >>> 15);
    }
    high = scramble(high ^ text.length);
    low = scramble(low ^ high);
    const slot = this.#slotOf(high, low);
    const known = this.#number[slot]!;
    if (known !== -1) return known;
    const number = this.count++;
    this.#put(slot, high, low, number);
    if (this.count > this.#mask * 0.6) this.#grow();
    return number;
  }

  #slotOf(high: number, low: number): number {
    let slot = low & this.#mask;
    while (this.#number[slot] !== -1 && (this.#high[slot] !== high || this.#low[slot] !== low)) {
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }

  #put(slot: number, high: number, low: number, number: number): void {
    this.#high[slot] = high;
    this.#low[slot] = low;
    this.#number[slot] = number;
  }

  #grow(): void {
    const [high, low, number] = [this.#high, this.#low, this.#number];
    this.#mask = this.#mask * 2 + 1;
    this.#high = new Uint32Array(this.#mask + 1);
    this.#low = new Uint32Array(this.#mask + 1);
    this.#number = new Int32Array(this.#mask + 1).fill(-1);
    for (let slot = 0; slot < number.length; slot++) {
      if (number[slot] === -1) continue;
      this.#put(this.#slotOf(high[slot]!, low[slot]!), high[slot]!, low[slot]!, number[slot]!);
    }
  }
}

/** Spreads 32 bits so that each input bit moves about half of the output bits (the finaliser of MurmurHash3). */
function scramble(bits: number): number {
  let value = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
