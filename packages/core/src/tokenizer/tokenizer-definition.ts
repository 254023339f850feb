import { join } from "node:path";
import { ModelFolderError } from "../errors.ts";
import { isJsonObject, type JsonObject, readOptionalJsonObject } from "../model-folder/read-json-file.ts";

/** What the files of a folder say about its tokenizer. */
export type TokenizerDefinition = {
  /** The folder that was read. */
  readonly folder: string;
  /** tokenizer.json with the changes that Python's tokenizer class makes to it. */
  readonly json: JsonObject;
  /** tokenizer_config.json over special_tokens_map.json; empty when the folder has neither. */
  readonly config: JsonObject;
  /** Class by which Python loads the tokenizer, without "Fast"; `undefined` when tokenizer.json is taken as it is. */
  readonly className: string | undefined;
  /** `pad_token_id` of config.json, where there is one. */
  readonly modelPadTokenId: number | undefined;
};

/** Tokenizer class per `model_type`, as transformers 5 maps them where tokenizer_config.json names none. */
const classOfModelType: Readonly<Record<string, string>> = {
  bert: "BertTokenizer",
  distilbert: "BertTokenizer",
  roberta: "RobertaTokenizer",
  mpnet: "MPNetTokenizer",
  "xlm-roberta": "XLMRobertaTokenizer",
};

/**
 * Reads tokenizer.json, tokenizer_config.json, special_tokens_map.json and config.json.
 *
 * transformers 5 does not take tokenizer.json as it is for the classes of BERT, DistilBERT, MPNet, RoBERTa and
 * XLM-RoBERTa: it keeps the vocabulary and the added tokens and builds normalizer, pre-tokenizer and post-processor anew
 * from tokenizer_config.json (`transformers/models/<type>/tokenization_<type>.py`). The same is done here, so that the
 * token ids are those of Python even where the two files disagree, for instance about lower case.
 *
 * @param folder A model folder.
 * @throws ModelFolderError `missing-file` without tokenizer.json, `invalid-json`, `unsupported-tokenizer`.
 */
export async function readTokenizerDefinition(folder: string): Promise<TokenizerDefinition> {
  const [json, tokenizerConfig, specialTokens, modelConfig] = await Promise.all([
    readOptionalJsonObject(join(folder, "tokenizer.json")),
    readOptionalJsonObject(join(folder, "tokenizer_config.json")),
    readOptionalJsonObject(join(folder, "special_tokens_map.json")),
    readOptionalJsonObject(join(folder, "config.json")),
  ]);
  if (json === undefined) {
    throw new ModelFolderError(
      "missing-file",
      `${folder} has no tokenizer.json. Write one with Python: ` +
        "`AutoTokenizer.from_pretrained(folder).save_pretrained(folder)` from transformers, then load the folder again.",
      { folder, file: "tokenizer.json" },
    );
  }
  const model = isJsonObject(json.model) ? json.model : {};
  // Files of early tokenizers versions name no type; the package then tells it from the other keys.
  if (
    model.vocab === undefined ||
    ![undefined, "WordPiece", "BPE", "Unigram"].includes(model.type as string | undefined)
  ) {
    throw new ModelFolderError(
      "unsupported-tokenizer",
      `${join(folder, "tokenizer.json")} holds ${model.vocab === undefined ? "no vocabulary (model.vocab)" : `a vocabulary of type ${JSON.stringify(model.type)}`}; ` +
        "supported are WordPiece, BPE and Unigram. Restore the file from where the model came from.",
      { folder, file: "tokenizer.json", found: model.type },
    );
  }
  const config = { ...specialTokens, ...tokenizerConfig };
  const declared =
    config.tokenizer_class ?? modelConfig?.tokenizer_class ?? classOfModelType[String(modelConfig?.model_type)];
  const className = typeof declared === "string" ? declared.replace(/Fast$/, "") : undefined;
  const padTokenId = modelConfig?.pad_token_id;
  return {
    folder,
    json: asPythonBuildsIt(json, config, className),
    config,
    className,
    modelPadTokenId: typeof padTokenId === "number" ? padTokenId : undefined,
  };
}

/** Text of a special token: a string, or an object with `content`. */
export function tokenText(token: unknown): string | undefined {
  if (typeof token === "string") return token;
  return isJsonObject(token) && typeof token.content === "string" ? token.content : undefined;
}

function asPythonBuildsIt(json: JsonObject, config: JsonObject, className: string | undefined): JsonObject {
  const model = json.model as JsonObject;
  switch (className) {
    case "BertTokenizer":
    case "DistilBertTokenizer":
      return wordPiece(json, config, { cls: "[CLS]", sep: "[SEP]", unknown: "[UNK]" });
    case "MPNetTokenizer":
      return wordPiece(withBlankEatingMask(json, config), config, { cls: "<s>", sep: "</s>", unknown: "[UNK]" });
    case "RobertaTokenizer": {
      const prefixed = config.add_prefix_space === true;
      return {
        ...json,
        model: {
          ...model,
          type: "BPE",
          fuse_unk: false,
          continuing_subword_prefix: "",
          end_of_word_suffix: "",
          byte_fallback: false,
        },
        normalizer: null,
        pre_tokenizer: { type: "ByteLevel", add_prefix_space: prefixed, trim_offsets: true, use_regex: true },
        post_processor: startAndEnd(tokenText(config.cls_token) ?? "<s>", tokenText(config.sep_token) ?? "</s>"),
      };
    }
    case "XLMRobertaTokenizer": {
      const prepend = config.add_prefix_space === false ? "never" : "always";
      const normalizers = isJsonObject(json.normalizer)
        ? Array.isArray(json.normalizer.normalizers)
          ? json.normalizer.normalizers
          : [json.normalizer]
        : [];
      return {
        ...json,
        model: { ...model, type: "Unigram", unk_id: 3, byte_fallback: false },
        normalizer: normalizers.find((step) => isJsonObject(step) && step.type === "Precompiled") ?? null,
        pre_tokenizer: {
          type: "Sequence",
          pretokenizers: [
            { type: "WhitespaceSplit" },
            { type: "Metaspace", replacement: "▁", prepend_scheme: prepend, split: true },
          ],
        },
        post_processor: startAndEnd(tokenText(config.bos_token) ?? "<s>", tokenText(config.eos_token) ?? "</s>"),
      };
    }
    default:
      return json;
  }
}

function wordPiece(
  json: JsonObject,
  config: JsonObject,
  tokens: { cls: string; sep: string; unknown: string },
): JsonObject {
  return {
    ...json,
    model: {
      ...(json.model as JsonObject),
      type: "WordPiece",
      unk_token: tokenText(config.unk_token) ?? tokens.unknown,
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
    },
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: config.tokenize_chinese_chars ?? true,
      strip_accents: config.strip_accents ?? null,
      lowercase: config.do_lower_case ?? true,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: startAndEnd(tokenText(config.cls_token) ?? tokens.cls, tokenText(config.sep_token) ?? tokens.sep),
  };
}

/** MPNet's mask token takes the blanks before it, whatever tokenizer.json says, unless the configuration spells it out. */
function withBlankEatingMask(json: JsonObject, config: JsonObject): JsonObject {
  const mask = tokenText(config.mask_token) ?? "<mask>";
  if (!Array.isArray(json.added_tokens) || isJsonObject(config.mask_token)) return json;
  return {
    ...json,
    added_tokens: json.added_tokens.map((token) =>
      isJsonObject(token) && token.content === mask ? { ...token, lstrip: true, rstrip: false } : token,
    ),
  };
}

function startAndEnd(start: string, end: string): JsonObject {
  return {
    type: "TemplateProcessing",
    single: [
      { SpecialToken: { id: start, type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
      { SpecialToken: { id: end, type_id: 0 } },
    ],
    pair: [],
    special_tokens: {},
  };
}
