import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import { type Document, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import type { ConfigurationPath } from "./configuration-path.ts";
import { ConfigurationError, type ConfigurationPlace, type ConfigurationProblem } from "./errors.ts";

/** A file as it was written: its values, and where each stands. */
export interface ConfigurationDocument {
  readonly file: string;
  /** Plain data. */
  readonly value: unknown;
  /** Where the value at a path stands, or the innermost of its parents that does. */
  readonly locate: (path: ConfigurationPath) => ConfigurationPlace;
  /** Where a field's name stands. */
  readonly locateName: (path: ConfigurationPath) => ConfigurationPlace;
}

/**
 * Reads a YAML 1.2 or JSON file.
 *
 * @throws ConfigurationError "unreadable-file", or "invalid-syntax" with every mistake.
 */
export async function readConfigurationDocument(file: string): Promise<ConfigurationDocument> {
  const text = await readText(file);
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  const at = (offset: number): ConfigurationPlace => {
    const { line, col } = lineCounter.linePos(offset);
    return { place: `${file}:${line}:${col}`, line, column: col };
  };
  const problems: ConfigurationProblem[] = document.errors.map(({ pos, message }) => ({
    ...at(pos[0]),
    path: "",
    message: `${message}.`,
  }));
  if (problems.length === 0 && document.contents === null)
    problems.push({ ...at(0), path: "", message: "the file is empty; expected names and values." });
  if (problems.length > 0) throw new ConfigurationError("invalid-syntax", file, problems);
  return {
    file,
    value: plainValue(file, document, at),
    locate: (path) => at(offsetOf(document, path, "value")),
    locateName: (path) => at(offsetOf(document, path, "name")),
  };
}

async function readText(file: string): Promise<string> {
  let bytes: Buffer;
  const refuse = (message: string, options?: ErrorOptions) =>
    new ConfigurationError("unreadable-file", file, [{ place: file, path: "", message }], options);
  try {
    bytes = await readFile(file);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR")
      throw refuse(`there is no such file (relative paths start at ${process.cwd()}).`, { cause });
    throw refuse(
      code === "EISDIR" ? "this is a folder; expected a YAML or JSON file." : `it cannot be read: ${message}.`,
      { cause },
    );
  }
  if (!isUtf8(bytes)) throw refuse("the bytes are not UTF-8. Convert it first, for example with iconv -t UTF-8.");
  return bytes.toString("utf8").replace(/^\uFEFF/, "");
}

function plainValue(file: string, document: Document, at: (offset: number) => ConfigurationPlace): unknown {
  try {
    return document.toJS();
  } catch (cause) {
    // Aliases that multiply without end.
    throw new ConfigurationError(
      "invalid-syntax",
      file,
      [{ ...at(0), path: "", message: `${(cause as Error).message}.` }],
      { cause },
    );
  }
}

function offsetOf(document: Document, path: ConfigurationPath, wanted: "name" | "value"): number {
  let node = document.contents as Node | null;
  let offset = node?.range?.[0] ?? 0;
  for (const [depth, name] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document) ?? null;
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => String(isScalar(key) ? key.value : key) === String(name));
      if (!pair) return offset;
      const key = isNode(pair.key) ? pair.key : null;
      const value = isNode(pair.value) ? pair.value : null;
      const isName = wanted === "name" && depth === path.length - 1;
      offset = (isName ? key : (value ?? key))?.range?.[0] ?? offset;
      node = value;
    } else if (isSeq(node)) {
      const item = node.items[Number(name)];
      if (!isNode(item)) return offset;
      offset = item.range?.[0] ?? offset;
      node = item;
    } else {
      return offset;
    }
  }
  return offset;
}
