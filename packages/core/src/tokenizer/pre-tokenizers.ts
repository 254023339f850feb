import { ModelFolderError } from "../errors.ts";
import { isJsonObject, type JsonObject } from "../model-folder/read-json-file.ts";
import { unicodeClass } from "./unicode-class.ts";

/** Cuts normalized text into pieces; `section` counts, from 0, the parts between added tokens. */
export type PreTokenizer = (text: string, section: number) => string[];

const punctuation = unicodeClass("punctuation");
const letters = unicodeClass("letter");
const numbers = unicodeClass("number");
const space = "\\p{White_Space}";
const bertPieces = new RegExp(`[^${space}${punctuation}]+|[${punctuation}]`, "gu");
const whiteSpacePieces = new RegExp(`[^${space}]+`, "gu");
const byteLevelPieces = new RegExp(
  `'s|'t|'re|'ve|'m|'ll|'d| ?[${letters}]+| ?[${numbers}]+| ?[^${space}${letters}${numbers}]+|${space}+(?![^${space}])|${space}+`,
  "gu",
);

/** Byte -> the printable character that stands for it in byte-level vocabularies (GPT-2's table). */
const byteCharacters: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(printable ? byte : next++);
  });
})();

/**
 * Builds the pre-tokenizer of a tokenizer.json.
 *
 * Own code, because `@huggingface/tokenizers` 0.2 departs from the Python package in what white space, punctuation,
 * letters and digits are (here unicode-tables.ts), and does not cut at a literal "▁".
 *
 * @param definition The `pre_tokenizer` object of tokenizer.json.
 * @returns `null` when there is none.
 * @throws ModelFolderError `unsupported-tokenizer` when the type is unknown.
 */
export function createPreTokenizer(definition: unknown): PreTokenizer | null {
  if (definition === null || definition === undefined) return null;
  if (isJsonObject(definition)) {
    switch (definition.type) {
      case "BertPreTokenizer":
        return (text) => text.match(bertPieces) ?? [];
      case "WhitespaceSplit":
        return (text) => text.match(whiteSpacePieces) ?? [];
      case "ByteLevel":
        return byteLevel(definition);
      case "Metaspace":
        return metaspace(definition);
      case "Sequence": {
        const definitions = Array.isArray(definition.pretokenizers) ? definition.pretokenizers : [];
        const steps = definitions.map(createPreTokenizer).filter((step) => step !== null);
        return (text, section) =>
          steps.reduce<string[]>((pieces, step) => pieces.flatMap((piece) => step(piece, section)), [text]);
      }
    }
  }
  throw new ModelFolderError(
    "unsupported-tokenizer",
    `tokenizer.json asks for the pre-tokenizer ${JSON.stringify(definition).slice(0, 200)}; supported are BertPreTokenizer, ` +
      "WhitespaceSplit, ByteLevel, Metaspace and Sequence of these.",
    { preTokenizer: definition },
  );
}

function byteLevel(definition: JsonObject): PreTokenizer {
  return (text) => {
    const prefixed = definition.add_prefix_space && !text.startsWith(" ") ? ` ${text}` : text;
    const pieces = (definition.use_regex ?? true) ? (prefixed.match(byteLevelPieces) ?? []) : [prefixed];
    return pieces.map((piece) => {
      let characters = "";
      for (const byte of Buffer.from(piece)) characters += byteCharacters[byte];
      return characters;
    });
  };
}

function metaspace(definition: JsonObject): PreTokenizer {
  const mark = typeof definition.replacement === "string" ? definition.replacement : "▁";
  // Before tokenizers 0.15 the scheme was a boolean, `add_prefix_space`.
  const scheme = definition.prepend_scheme ?? (definition.add_prefix_space === false ? "never" : "always");
  return (text, section) => {
    let marked = text.replaceAll(" ", mark);
    const wanted = scheme === "always" || (scheme === "first" && section === 0);
    if (wanted && !marked.startsWith(mark)) marked = mark + marked;
    if (definition.split === false) return [marked];
    return marked.split(mark).flatMap((piece, index) => {
      if (index > 0) return [mark + piece];
      return piece === "" ? [] : [piece];
    });
  };
}
