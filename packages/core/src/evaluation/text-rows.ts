import { OptionError } from "../errors.ts";

/** Rows whose texts are encoded and compared before the next rows are: what is held of embeddings does not grow. */
export const rowsPerChunk = 16_384;

/**
 * Checks the columns of an evaluator's rows.
 *
 * @param columns By option: texts, or numbers under "scores".
 * @param fewest The rows that the evaluator needs.
 * @returns The number of rows. Throws OptionError when the columns differ in length, hold fewer rows than `fewest` or
 *   anything but texts and finite scores.
 */
export function checkTextRows(
  evaluator: string,
  columns: Readonly<Record<string, ArrayLike<string> | ArrayLike<number>>>,
  fewest: number,
): number {
  const entries = Object.entries(columns);
  const lengths = entries.map(([, values]) => values.length);
  const facts = Object.fromEntries(entries.map(([option, values]) => [option, values.length]));
  const list = entries.map(([option, values]) => `${option} holds ${values.length}`).join(", ");
  if (lengths.some((length) => length !== lengths[0])) {
    throw new OptionError("invalid-option", `${evaluator}: ${list}; expected equally many, one a row.`, facts);
  }
  if (lengths[0]! < fewest) {
    throw new OptionError(
      "invalid-option",
      `${evaluator}: ${list}; expected at least ${fewest} row${fewest === 1 ? "" : "s"}.`,
      facts,
    );
  }
  for (const [option, values] of entries) {
    const isRight =
      option === "scores" ? (value: unknown) => Number.isFinite(value) : (value: unknown) => typeof value === "string";
    for (let row = 0; row < values.length; row++) {
      if (isRight(values[row])) continue;
      const found: unknown = values[row];
      const shown = typeof found === "number" || found === null ? String(found) : `a value of type ${typeof found}`;
      throw new OptionError(
        "invalid-option",
        `${evaluator}: ${option}[${row}] is ${shown}; expected a ${option === "scores" ? "finite number" : "string"}.`,
        { option, row, found },
      );
    }
  }
  return lengths[0]!;
}
