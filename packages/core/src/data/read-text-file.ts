import { isUtf8 } from "node:buffer";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { DataError } from "../errors.ts";

/** A piece of a text file that begins and ends at the border of a line (the last piece may lack the newline). */
export interface TextBlock {
  text: string;
  /** The number of the block's first line in the file, from 1. */
  firstLine: number;
}

const newline = 10;
const byteOrderMark = "\uFEFF";

/**
 * Reads a UTF-8 file piece by piece, so that it may be larger than the longest string. A byte order mark is left out.
 *
 * Throws DataError when the file is missing, is not a file, cannot be read, holds nothing but white space, or is not
 * UTF-8 (with the line).
 */
export async function* readTextFile(path: string): AsyncGenerator<TextBlock> {
  await checkIsFile(path);
  let firstLine = 1;
  let held: Buffer[] = [];
  let isBlank = true;

  const finish = (bytes: Buffer): TextBlock => {
    if (!isUtf8(bytes)) throw invalidUtf8(path, bytes, firstLine);
    let text = bytes.toString("utf8");
    if (firstLine === 1 && text.startsWith(byteOrderMark)) text = text.slice(1);
    if (isBlank && text.trim() !== "") isBlank = false;
    const block = { text, firstLine };
    firstLine += countNewlines(bytes);
    return block;
  };

  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 }) as AsyncIterable<Buffer>) {
      const end = chunk.lastIndexOf(newline) + 1;
      if (end === 0) {
        held.push(chunk);
        continue;
      }
      yield finish(Buffer.concat([...held, chunk.subarray(0, end)]));
      held = end < chunk.length ? [chunk.subarray(end)] : [];
    }
  } catch (cause) {
    if (DataError.isInstance(cause)) throw cause;
    throw new DataError(
      "unreadable-file",
      `${path} could not be read: ${(cause as Error).message}.`,
      { path },
      { cause },
    );
  }
  if (held.length > 0) yield finish(Buffer.concat(held));
  if (isBlank) {
    throw new DataError("empty-file", `${path} is empty; expected at least one row of text.`, { path });
  }
}

async function checkIsFile(path: string): Promise<void> {
  try {
    const status = await stat(path);
    if (status.isFile()) return;
    throw new DataError(
      "not-a-file",
      `${path} is ${status.isDirectory() ? "a folder" : "not an ordinary file"}; expected a JSON Lines, CSV or TSV file.`,
      { path },
    );
  } catch (cause) {
    if (DataError.isInstance(cause)) throw cause;
    const isMissing = ["ENOENT", "ENOTDIR"].includes((cause as NodeJS.ErrnoException).code ?? "");
    throw new DataError(
      isMissing ? "file-not-found" : "unreadable-file",
      isMissing
        ? `${path} does not exist; expected the path of a JSON Lines, CSV or TSV file (relative paths start at ${process.cwd()}).`
        : `${path} could not be read: ${(cause as Error).message}.`,
      { path },
      { cause },
    );
  }
}

function invalidUtf8(path: string, bytes: Buffer, firstLine: number): DataError {
  let line = firstLine;
  let start = 0;
  for (;;) {
    const end = bytes.indexOf(newline, start);
    const lineBytes = bytes.subarray(start, end === -1 ? bytes.length : end);
    if (end === -1 || !isUtf8(lineBytes)) {
      const isUtf16 = line === 1 && ["fffe", "feff"].includes(lineBytes.subarray(0, 2).toString("hex"));
      return new DataError(
        "invalid-utf8",
        `${path}, line ${line}: the bytes are not UTF-8${isUtf16 ? " (the file begins like UTF-16)" : ""}; expected a file in UTF-8. Convert it first, for example with iconv -t UTF-8.`,
        { path, line },
      );
    }
    line++;
    start = end + 1;
  }
}

function countNewlines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(newline); at !== -1; at = bytes.indexOf(newline, at + 1)) count++;
  return count;
}
