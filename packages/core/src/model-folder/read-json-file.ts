import { readFile } from "node:fs/promises";
import { ModelFolderError } from "../errors.ts";

/** Parsed JSON that is an object. */
export type JsonObject = Record<string, unknown>;

/** True for a JSON object: neither null nor an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads a UTF-8 JSON file.
 *
 * @returns The parsed value, or `undefined` when there is no such file.
 * @throws ModelFolderError `unreadable-file` when the file cannot be read, `invalid-json` when it is not UTF-8 JSON.
 */
export async function readOptionalJson(path: string): Promise<unknown> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code;
    if (reason === "ENOENT" || reason === "ENOTDIR") return undefined;
    throw new ModelFolderError(
      "unreadable-file",
      `${path} cannot be read (${reason ?? String(cause)}). Check that it is a file and that this user may read it.`,
      { file: path, reason },
      { cause },
    );
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ModelFolderError(
      "invalid-json",
      `${path} is not valid JSON in UTF-8: ${(cause as Error).message}. ` +
        "Restore the file from where the model came from, or save the model again.",
      { file: path },
      { cause },
    );
  }
}

/**
 * Reads a UTF-8 JSON file whose content must be an object.
 *
 * @returns The object, or `undefined` when there is no such file.
 * @throws ModelFolderError `unreadable-file` or `invalid-json`.
 */
export async function readOptionalJsonObject(path: string): Promise<JsonObject | undefined> {
  const value = await readOptionalJson(path);
  if (value === undefined || isJsonObject(value)) return value;
  throw new ModelFolderError(
    "invalid-json",
    `${path} holds ${Array.isArray(value) ? "a list" : JSON.stringify(value)}, but a JSON object was expected. ` +
      "Restore the file from where the model came from, or save the model again.",
    { file: path },
  );
}
