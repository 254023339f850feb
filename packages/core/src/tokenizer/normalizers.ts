import { ModelFolderError } from "../errors.ts";
import { isJsonObject, type JsonObject } from "../model-folder/read-json-file.ts";
import { PrecompiledCharacterMap } from "./precompiled-character-map.ts";
import { unicodeClass } from "./unicode-class.ts";

/** Changes a text before it is cut into pieces. */
export type Normalizer = (text: string) => string;

const printableAscii = /^[ -~]*$/;
const whiteSpace = /\p{White_Space}/gu;
const leadingWhiteSpace = /^\p{White_Space}+/u;
const trailingWhiteSpace = /\p{White_Space}+$/u;
const removed = new RegExp(`[${unicodeClass("removed")}]`, "gu");
const chinese = new RegExp(`[${unicodeClass("chinese")}]`, "gu");
const nonspacingMarks = new RegExp(`[${unicodeClass("nonspacingMark")}]`, "gu");
const combiningMarks = new RegExp(`[${unicodeClass("combiningMark")}]`, "gu");

/**
 * Lower case of every code point by itself, as Rust's tokenizers take it: JavaScript would turn a sigma at the end of a
 * word into a final sigma.
 */
export function lowercase(text: string): string {
  return text.replaceAll("Σ", "σ").toLowerCase();
}

/**
 * Builds the normalizer of a tokenizer.json.
 *
 * Own code, because `@huggingface/tokenizers` 0.2 departs from the Python package: Chinese characters beyond U+FFFF are
 * not set apart, SentencePiece's character map is approximated by NFKC, a final sigma survives lower-casing, and white
 * space, marks and control characters are those of the running Node's Unicode version.
 *
 * @param definition The `normalizer` object of tokenizer.json.
 * @returns `null` when there is none.
 * @throws ModelFolderError `unsupported-tokenizer` when the type is unknown.
 */
export function createNormalizer(definition: unknown): Normalizer | null {
  if (definition === null || definition === undefined) return null;
  if (isJsonObject(definition)) {
    switch (definition.type) {
      case "BertNormalizer":
        return bertNormalizer(definition);
      case "Lowercase":
        return lowercase;
      case "StripAccents":
        return (text) => text.replace(combiningMarks, "");
      case "Strip":
        return (text) => {
          const left = definition.strip_left ? text.replace(leadingWhiteSpace, "") : text;
          return definition.strip_right ? left.replace(trailingWhiteSpace, "") : left;
        };
      case "Precompiled": {
        const map = new PrecompiledCharacterMap(Buffer.from(String(definition.precompiled_charsmap ?? ""), "base64"));
        return (text) => map.normalize(text);
      }
      case "NFC":
      case "NFD":
      case "NFKC":
      case "NFKD": {
        const form = definition.type;
        return (text) => text.normalize(form);
      }
      case "Replace":
        return replaceNormalizer(definition);
      case "Prepend": {
        const prefix = String(definition.prepend ?? "");
        return (text) => (text === "" ? text : prefix + text);
      }
      case "Sequence": {
        const definitions = Array.isArray(definition.normalizers) ? definition.normalizers : [];
        const steps = definitions.map(createNormalizer).filter((step) => step !== null);
        return (text) => steps.reduce((before, step) => step(before), text);
      }
    }
  }
  throw unsupported(definition);
}

/** BERT's clean-up: control characters out, white space to blanks, Chinese characters apart, accents off, lower case. */
function bertNormalizer(definition: JsonObject): Normalizer {
  const lower = definition.lowercase === true;
  const withoutAccents = definition.strip_accents ?? lower;
  return (text) => {
    let result = text;
    if (!printableAscii.test(text)) {
      if (definition.clean_text) result = result.replace(removed, "").replace(whiteSpace, " ");
      if (definition.handle_chinese_chars) result = result.replace(chinese, " $& ");
      if (withoutAccents) result = result.normalize("NFD").replace(nonspacingMarks, "");
    }
    return lower ? lowercase(result) : result;
  };
}

function replaceNormalizer(definition: JsonObject): Normalizer {
  const content = String(definition.content ?? "");
  const pattern = isJsonObject(definition.pattern) ? definition.pattern : {};
  if (typeof pattern.String === "string") {
    const sought = pattern.String;
    return (text) => text.replaceAll(sought, () => content);
  }
  if (typeof pattern.Regex !== "string") throw unsupported(definition);
  let expression: RegExp;
  try {
    expression = new RegExp(pattern.Regex, "gu");
  } catch (cause) {
    throw unsupported(definition, cause);
  }
  return (text) => text.replace(expression, () => content);
}

function unsupported(definition: unknown, cause?: unknown): ModelFolderError {
  const shown = JSON.stringify(definition).slice(0, 200);
  return new ModelFolderError(
    "unsupported-tokenizer",
    `tokenizer.json asks for the normalizer ${shown}; supported are BertNormalizer, Lowercase, StripAccents, Strip, ` +
      "Precompiled, NFC, NFD, NFKC, NFKD, Replace, Prepend and Sequence of these.",
    { normalizer: definition },
    cause === undefined ? {} : { cause },
  );
}
