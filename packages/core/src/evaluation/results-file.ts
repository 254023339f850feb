import { appendFile, mkdir, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { DataError } from "../errors.ts";
import type { EvaluationContext } from "./evaluator.ts";

/**
 * A CSV file of results, one line an evaluation, as sentence-transformers' evaluators write it: the header once, lines
 * appended, numbers as Python prints them.
 */
export class ResultsFile {
  readonly path: string;
  readonly #header: string;
  readonly #lineEnd: string;

  /**
   * @param columnNames The header; names hold no comma.
   * @param lineEnd "\r\n" for evaluators that write with Python's `csv.writer`.
   */
  constructor(path: string, columnNames: readonly string[], lineEnd: "\n" | "\r\n" = "\n") {
    this.path = path;
    this.#header = columnNames.join(",");
    this.#lineEnd = lineEnd;
  }

  /**
   * Makes the folder, and looks whether an existing file can take more lines: before work is done whose results could
   * not be kept. Throws DataError when the folder cannot be made and when the file has other columns.
   */
  async prepare(): Promise<void> {
    await this.#doOrExplain(async () => {
      await mkdir(dirname(this.path), { recursive: true });
      const found = await readFile(this.path, "utf8").catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return "";
        throw error;
      });
      const header = found.split("\n", 1)[0]!.trimEnd();
      if (found === "" || header === this.#header) return;
      throw new DataError(
        "unexpected-column",
        `${this.path} holds results with other columns ("${header}"); expected "${this.#header}". Move the file, or give the evaluator another name.`,
        { path: this.path, found: header, expected: this.#header },
      );
    });
  }

  /** Appends a line in one write, after the header if the file is new. Throws DataError when it cannot be written. */
  async append(values: readonly string[]): Promise<void> {
    await this.#doOrExplain(async () => {
      const end = await lastCharacter(this.path);
      // A line that another process could not finish must not swallow this one.
      const start = end === undefined ? this.#header + this.#lineEnd : end === "\n" ? "" : this.#lineEnd;
      await appendFile(this.path, start + values.join(",") + this.#lineEnd);
    });
  }

  async #doOrExplain(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (cause) {
      if (DataError.isInstance(cause)) throw cause;
      throw new DataError(
        "unwritable-file",
        `${this.path} could not be written: ${(cause as Error).message}. Give another outputPath, or set writeCsv to false.`,
        { path: this.path },
        { cause },
      );
    }
  }
}

/** The first two columns of every results file, epoch and steps, as the Trainer's evaluations have them: -1 for neither. */
export function formatProgress({ epoch, steps }: EvaluationContext): [string, string] {
  return [epoch === undefined ? "-1" : formatPythonFloat(epoch), String(steps ?? -1)];
}

/** A floating-point number as Python's `str` prints it: 1.0, 0.25, 5e-05. */
export function formatPythonFloat(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const [digits, power] = value.toExponential().split("e") as [string, string];
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

/** The last character of a file, or nothing when the file is missing or empty. */
async function lastCharacter(path: string): Promise<string | undefined> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    const { size } = await file.stat();
    if (size === 0) return undefined;
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
    return buffer.toString("latin1");
  } finally {
    await file.close();
  }
}
