import { join } from "node:path";
import { GradbankError, ModelFolderError, OptionError } from "../errors.ts";
import { isJsonObject, type JsonObject } from "../model-folder/read-json-file.ts";
import { readTokenizerDefinition, type TokenizerDefinition, tokenText } from "./tokenizer-definition.ts";
import { createTokenizerPipeline, type TokenizerPipeline } from "./tokenizer-pipeline.ts";

export type TokenizerLoadOptions = {
  /**
   * Lower-cases texts before anything else, as `do_lower_case` in sentence_bert_config.json asks.
   * @default false
   */
  readonly lowercase?: boolean;
};

export type EncodeOptions = {
  /** Most tokens of one text, special tokens included; longer texts lose tokens at the end that `truncation_side` names. */
  readonly maxLength: number;
};

/** Names under which a configuration may hold a special token. */
const specialTokenNames = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

const defaultPadTokens: Readonly<Record<string, string>> = {
  BertTokenizer: "[PAD]",
  DistilBertTokenizer: "[PAD]",
  MPNetTokenizer: "<pad>",
  RobertaTokenizer: "<pad>",
  XLMRobertaTokenizer: "<pad>",
};

const placeholder = "\0text\0";

/**
 * Turns texts into token ids: the ids that the Python tokenizer of the same folder gives.
 *
 * Vocabulary models and the splitting at added tokens come from `@huggingface/tokenizers`, the package in which
 * transformers.js keeps its tokenizers; normalizers and pre-tokenizers are own code where that package differs from Python.
 */
export class Tokenizer {
  /** Id that fills up shorter rows of a batch. */
  readonly padTokenId: number;
  /** Ids of all special tokens, ascending. */
  readonly specialTokenIds: readonly number[];
  /** Number of tokens, added ones included: Python's `len(tokenizer)`. */
  readonly vocabularySize: number;
  /** `model_max_length` of tokenizer_config.json; `Infinity` when it sets none. */
  readonly modelMaxLength: number;

  private readonly pipeline: TokenizerPipeline;
  private readonly startIds: readonly number[];
  private readonly endIds: readonly number[];
  private readonly truncateLeft: boolean;

  /** Use `Tokenizer.load`. */
  constructor(definition: TokenizerDefinition, options: TokenizerLoadOptions = {}) {
    const { json, config } = definition;
    const normalizer = options.lowercase ? loweredFirst(json.normalizer) : json.normalizer;
    const added = Array.isArray(json.added_tokens) ? json.added_tokens.filter(isJsonObject) : [];
    this.pipeline = buildPipeline(definition, { ...json, added_tokens: added, normalizer });
    const idOf = (token: unknown): number | undefined => {
      const text = tokenText(token);
      return text === undefined ? undefined : this.pipeline.token_to_id(text);
    };

    const template = this.pipeline.post_processor?.([placeholder], null, true).tokens ?? [placeholder];
    const middle = template.indexOf(placeholder);
    const ids = template.map((token) => idOf(token));
    const unknown = template.find((_, index) => index !== middle && ids[index] === undefined);
    if (middle < 0 || unknown !== undefined) {
      throw new ModelFolderError(
        "unsupported-tokenizer",
        `The tokenizer of ${definition.folder} surrounds a text with ${JSON.stringify(unknown ?? template)}, which its vocabulary ` +
          "does not hold. Restore tokenizer.json and tokenizer_config.json from where the model came from.",
        { folder: definition.folder, token: unknown },
      );
    }
    this.startIds = ids.slice(0, middle) as number[];
    this.endIds = ids.slice(middle + 1) as number[];
    this.truncateLeft = config.truncation_side === "left";

    const padding = isJsonObject(json.padding) ? json.padding.pad_id : undefined;
    const padTokenId =
      idOf(config.pad_token ?? defaultPadTokens[definition.className ?? ""]) ??
      definition.modelPadTokenId ??
      (typeof padding === "number" ? padding : undefined);
    if (padTokenId === undefined) {
      throw new ModelFolderError(
        "unsupported-tokenizer",
        `The tokenizer of ${definition.folder} names no padding token. Set "pad_token" in tokenizer_config.json to a token ` +
          "of the vocabulary.",
        { folder: definition.folder },
      );
    }
    this.padTokenId = padTokenId;
    const special = [
      ...added.filter((token) => token.special).map((token) => idOf(token)),
      ...specialTokenNames.map((name) => idOf(config[name])),
    ];
    this.specialTokenIds = [...new Set(special.filter((id) => id !== undefined))].sort((a, b) => a - b);
    const vocabulary = (json.model as JsonObject).vocab as Record<string, number> | [string, number][];
    this.vocabularySize = new Set([
      ...(Array.isArray(vocabulary) ? vocabulary.map(([token]) => token) : Object.keys(vocabulary)),
      ...added.map((token) => token.content),
    ]).size;
    const longest = config.model_max_length;
    // transformers writes int(1e30) for "no limit".
    this.modelMaxLength = typeof longest === "number" && longest < 1e20 ? longest : Number.POSITIVE_INFINITY;
  }

  /**
   * Loads the tokenizer of a model folder. Reads local files only.
   *
   * @param folder Folder with tokenizer.json and, as a rule, tokenizer_config.json.
   * @throws ModelFolderError `missing-file`, `invalid-json`, `unsupported-tokenizer`.
   */
  static async load(folder: string, options: TokenizerLoadOptions = {}): Promise<Tokenizer> {
    return new Tokenizer(await readTokenizerDefinition(folder), options);
  }

  /**
   * Token ids of each text, with special tokens, truncated as Python does it: the text's own tokens are cut so that the
   * special ones still fit.
   *
   * @returns One array per text, as long as that text needs: no padding.
   * @throws OptionError `invalid-option` when `maxLength` leaves no room, `invalid-input` when a text is no string.
   */
  encode(texts: readonly string[], options: EncodeOptions): Int32Array[] {
    const { maxLength } = options;
    const specialTokens = this.startIds.length + this.endIds.length;
    if (!Number.isInteger(maxLength) || maxLength <= specialTokens) {
      throw new OptionError(
        "invalid-option",
        `maxLength is ${maxLength}, but it must be a whole number above ${specialTokens}, the number of special tokens of this ` +
          "tokenizer, so that a text keeps at least one token.",
        { option: "maxLength", given: maxLength, specialTokens },
      );
    }
    return texts.map((text, index) => {
      if (typeof text !== "string") {
        throw new OptionError(
          "invalid-input",
          `Text ${index} is ${text === null ? "null" : `of type ${typeof text}`}, but a string was expected. Leave such rows out ` +
            "of the data, or turn them into strings.",
          { index },
        );
      }
      return this.encodeOne(text, maxLength - specialTokens);
    });
  }

  private encodeOne(text: string, room: number): Int32Array {
    // A lone half of a surrogate pair is no character; UTF-8, in which Python's tokenizers work, cannot hold it.
    const wellFormed = text.replace(/\p{Surrogate}/gu, "\ufffd");
    const all = this.pipeline.encode(wellFormed, { add_special_tokens: false }).ids;
    const kept = this.truncateLeft ? all.slice(Math.max(0, all.length - room)) : all.slice(0, room);
    const ids = new Int32Array(this.startIds.length + kept.length + this.endIds.length);
    ids.set(this.startIds);
    ids.set(kept, this.startIds.length);
    ids.set(this.endIds, this.startIds.length + kept.length);
    return ids;
  }
}

function buildPipeline(definition: TokenizerDefinition, json: JsonObject): TokenizerPipeline {
  const file = join(definition.folder, "tokenizer.json");
  try {
    return createTokenizerPipeline(json);
  } catch (cause) {
    if (GradbankError.isInstance(cause)) throw cause;
    throw new ModelFolderError(
      "unsupported-tokenizer",
      `${file} cannot be used as a tokenizer: ${(cause as Error).message}. Supported are the models WordPiece, BPE and Unigram; ` +
        "restore the file from where the model came from, or save it again with transformers.",
      { file },
      { cause },
    );
  }
}

/** Lower case put before the other normalizers, unless a step of that kind is there (sentence-transformers, `_has_lowercase`). */
function loweredFirst(normalizer: unknown): unknown {
  const steps = !isJsonObject(normalizer)
    ? []
    : normalizer.type === "Sequence" && Array.isArray(normalizer.normalizers)
      ? normalizer.normalizers
      : [normalizer];
  if (steps.some((step) => isJsonObject(step) && step.type === "Lowercase")) return normalizer;
  return { type: "Sequence", normalizers: [{ type: "Lowercase" }, ...steps] };
}
