import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { ModelFolderError } from "../errors.ts";
import { ModelWeights } from "./model-weights.ts";
import { isJsonObject, type JsonObject, readOptionalJson, readOptionalJsonObject } from "./read-json-file.ts";
import { recoverWholeFolder } from "./whole-folder.ts";

/** How token embeddings become one embedding per text. */
export type PoolingMode = "mean" | "cls" | "max" | "weightedmean" | "lasttoken";

export type Pooling = {
  readonly mode: PoolingMode;
  /** Whether the tokens of a prompt are pooled too. */
  readonly includePrompt: boolean;
};

export type SimilarityFunctionName = "cosine" | "dot" | "euclidean" | "manhattan";

/** What a model folder says about its model, apart from the values of the weights. */
export type ModelFolder = {
  /** The folder as it was given. */
  readonly folder: string;
  readonly transformer: {
    /** Folder of config.json, weights and tokenizer: the model folder itself, or, in old models, one inside it. */
    readonly folder: string;
    /** config.json as it stands. */
    readonly config: JsonObject;
    readonly weights: ModelWeights;
  };
  /** Most tokens of a text, special tokens included; never more than the model has positions for. */
  readonly maxSequenceLength: number;
  /** `do_lower_case` of sentence_bert_config.json: texts are lower-cased before the tokenizer sees them. */
  readonly lowercase: boolean;
  readonly pooling: Pooling;
  /** Whether embeddings are scaled to length 1. */
  readonly normalize: boolean;
  /** Texts put before a query, a document ...; `query` and `document` are always there. */
  readonly prompts: Readonly<Record<string, string>>;
  readonly defaultPromptName: string | null;
  readonly similarityFunctionName: SimilarityFunctionName;
  /** Number of leading dimensions that are kept of an embedding; null for all. */
  readonly truncateDimension: number | null;
  /** Names, inside `transformer.folder`, of the files that make up the tokenizer. */
  readonly tokenizerFiles: readonly string[];
};

const tokenizerFileNames = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.txt",
  "vocab.json",
  "merges.txt",
  "sentencepiece.bpe.model",
  "spiece.model",
  "tokenizer.model",
];

/** Names of the transformer module's own configuration, in the order in which sentence-transformers looks for them. */
const transformerConfigNames = [
  "sentence_bert_config.json",
  "sentence_roberta_config.json",
  "sentence_distilbert_config.json",
  "sentence_camembert_config.json",
  "sentence_albert_config.json",
  "sentence_xlm-roberta_config.json",
  "sentence_xlnet_config.json",
];

const poolingModes: readonly string[] = ["mean", "cls", "max", "weightedmean", "lasttoken"] satisfies PoolingMode[];

/** Boolean keys of 5.x and before -> mode, in the order in which several would be concatenated. */
const pooledByKey: Readonly<Record<string, string>> = {
  pooling_mode_cls_token: "cls",
  pooling_mode_max_tokens: "max",
  pooling_mode_mean_tokens: "mean",
  pooling_mode_mean_sqrt_len_tokens: "mean_sqrt_len_tokens",
  pooling_mode_weightedmean_tokens: "weightedmean",
  pooling_mode_lasttoken: "lasttoken",
};

/** Model types whose position ids begin after the padding id. */
const offsetPositions = ["roberta", "xlm-roberta", "mpnet", "camembert"];

/**
 * Reads a model folder: of sentence-transformers (2.x to 6.x) or a bare Hugging Face one.
 *
 * With modules.json: Transformer, Pooling and, if there is one, Normalize. Without: config.json, model.safetensors and the
 * tokenizer, to which mean pooling is added, as sentence-transformers does. Weights are not read, only their headers;
 * the architecture (`model_type`) is not judged here.
 *
 * @param folder A local folder; `resolveModelFolder` turns a hub id into one.
 * @throws ModelFolderError `missing-folder`, `missing-file`, `invalid-json`, `invalid-safetensors`; `unsupported-module`,
 *   `unsupported-pooling` or `unsupported-option` with what was found and what is supported.
 */
export async function readModelFolder(folder: string): Promise<ModelFolder> {
  await recoverWholeFolder(folder);
  await requireFolder(folder);
  const modules = await readModules(folder);
  const root = modules === undefined ? folder : join(folder, modules.transformer);
  const config = await readOptionalJsonObject(join(root, "config.json"));
  if (config === undefined) {
    throw new ModelFolderError(
      "missing-file",
      `${root} has no config.json${modules === undefined ? " and no modules.json" : ""}, so it is no model folder. ` +
        "Expected is a folder saved by sentence-transformers, by transformers (config.json, model.safetensors, tokenizer.json) or by gradbank.",
      { folder, file: "config.json" },
    );
  }
  const transformerConfig = await readTransformerConfig(root);
  const modelConfigFile = join(folder, "config_sentence_transformers.json");
  const modelConfig = (await readOptionalJsonObject(modelConfigFile)) ?? {};
  const prompts = readPrompts(modelConfigFile, modelConfig);
  return {
    folder,
    transformer: { folder: root, config, weights: await ModelWeights.open(root) },
    maxSequenceLength: await readMaxSequenceLength(root, config, transformerConfig),
    lowercase: transformerConfig.do_lower_case === true,
    pooling:
      modules === undefined
        ? { mode: isCausal(config) ? "lasttoken" : "mean", includePrompt: true }
        : await readPooling(join(folder, modules.pooling), config),
    normalize: modules?.normalize !== undefined,
    ...prompts,
    similarityFunctionName: readSimilarity(modelConfigFile, modelConfig),
    truncateDimension: readTruncateDimension(modelConfigFile, modelConfig),
    tokenizerFiles: (await readdir(root)).filter((file) => tokenizerFileNames.includes(file)).sort(),
  };
}

async function requireFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch((cause: NodeJS.ErrnoException) => {
    throw new ModelFolderError(
      "missing-folder",
      `There is no model folder ${folder} (${cause.code}). Check the path; a model of the hub is given as "organisation/name".`,
      { folder, reason: cause.code },
      { cause },
    );
  });
  if (!found.isDirectory()) {
    throw new ModelFolderError(
      "missing-folder",
      `${folder} is a file, but a model is a folder. Give the folder that holds it.`,
      { folder },
    );
  }
}

async function readModules(
  folder: string,
): Promise<{ transformer: string; pooling: string; normalize: string | undefined } | undefined> {
  const file = join(folder, "modules.json");
  const content = await readOptionalJson(file);
  if (content === undefined) return undefined;
  const malformed = !Array.isArray(content)
    ? content
    : content.find(
        (module) => !isJsonObject(module) || typeof module.type !== "string" || typeof module.path !== "string",
      );
  if (!Array.isArray(content) || malformed !== undefined) {
    throw new ModelFolderError(
      "invalid-json",
      `${file} holds ${JSON.stringify(malformed)}, but a list of modules with "type" and "path" was expected. ` +
        "Restore the file from where the model came from.",
      { file },
    );
  }
  const found = (content as { type: string; path: string }[]).map(({ type, path }) => ({
    kind: kindOf(type),
    type,
    path,
  }));
  const outside = found.find(({ path }) => path.startsWith("/") || path.split(/[/\\]/).includes(".."));
  if (outside !== undefined) {
    throw new ModelFolderError(
      "invalid-json",
      `${file} names the module folder "${outside.path}", which lies outside the model's folder.`,
      {
        file,
        path: outside.path,
      },
    );
  }
  const kinds = found.map(({ kind, type }) => kind ?? type);
  if (!["Transformer Pooling", "Transformer Pooling Normalize"].includes(kinds.join(" "))) {
    const unknown = found.filter(({ kind }) => kind === undefined).map(({ type }) => type);
    throw new ModelFolderError(
      "unsupported-module",
      `${file} lists the modules ${kinds.join(", ") || "(none)"}${unknown.length > 0 ? `; unknown: ${unknown.join(", ")}` : ""}. ` +
        "Supported are Transformer, Pooling and, after them, Normalize, all from sentence_transformers.",
      { file, modules: found.map(({ type }) => type), unknown },
    );
  }
  const [transformer, pooling, normalize] = found;
  if (normalize !== undefined) await checkNormalize(join(folder, normalize.path));
  return { transformer: transformer!.path, pooling: pooling!.path, normalize: normalize?.path };
}

/** 5.x wrote `sentence_transformers.models.Pooling`, 6.x writes `sentence_transformers.sentence_transformer.modules.pooling.Pooling`. */
function kindOf(type: string): "Transformer" | "Pooling" | "Normalize" | undefined {
  const match = /^sentence_transformers\.(?:[\w.]+\.)?(Transformer|Pooling|Normalize)$/.exec(type);
  return match?.[1] as "Transformer" | "Pooling" | "Normalize" | undefined;
}

async function checkNormalize(folder: string): Promise<void> {
  const file = join(folder, "config.json");
  const config = (await readOptionalJsonObject(file)) ?? {};
  for (const key of ["module_input_name", "module_output_name"]) {
    const value = config[key] ?? "sentence_embedding";
    if (value !== "sentence_embedding") {
      throw new ModelFolderError(
        "unsupported-module",
        `${file} has ${key} ${JSON.stringify(value)}; supported is only "sentence_embedding".`,
        { file, option: key, found: value },
      );
    }
  }
}

async function readTransformerConfig(root: string): Promise<JsonObject> {
  for (const name of transformerConfigNames) {
    const file = join(root, name);
    const config = await readOptionalJsonObject(file);
    if (config === undefined) continue;
    const text = isJsonObject(config.modality_config) ? config.modality_config.text : undefined;
    const supported: [string, unknown, unknown][] = [
      ["transformer_task", config.transformer_task, "feature-extraction"],
      ["module_output_name", config.module_output_name, "token_embeddings"],
      ["modality_config.text.method", isJsonObject(text) ? text.method : undefined, "forward"],
      [
        "modality_config.text.method_output_name",
        isJsonObject(text) ? text.method_output_name : undefined,
        "last_hidden_state",
      ],
    ];
    for (const [option, found, expected] of supported) {
      if (found !== undefined && found !== null && found !== expected) {
        throw new ModelFolderError(
          "unsupported-option",
          `${file} has ${option} ${JSON.stringify(found)}; supported is only ${JSON.stringify(expected)}.`,
          { file, option, found, expected },
        );
      }
    }
    const processing = config.processing_kwargs;
    if (
      isJsonObject(processing) &&
      Object.values(processing).some((value) => isJsonObject(value) && Object.keys(value).length > 0)
    ) {
      throw new ModelFolderError(
        "unsupported-option",
        `${file} has processing_kwargs ${JSON.stringify(processing)}, which change how texts are tokenized; none are supported. ` +
          "Remove them from the file if the model works without them.",
        { file, option: "processing_kwargs", found: processing },
      );
    }
    return config;
  }
  return {};
}

/**
 * sentence-transformers 6.2, `Transformer.__init__`: what sentence_bert_config.json asks for, else the smaller one of the
 * tokenizer's `model_max_length` and the model's `max_position_embeddings`. Both are held to the positions that the model
 * really has: Python would stop with an index error beyond them.
 */
async function readMaxSequenceLength(root: string, config: JsonObject, transformerConfig: JsonObject): Promise<number> {
  const tokenizerConfig = (await readOptionalJsonObject(join(root, "tokenizer_config.json"))) ?? {};
  const arguments_ = transformerConfig.processor_kwargs ?? transformerConfig.tokenizer_args;
  const asked =
    (isJsonObject(arguments_) ? arguments_.model_max_length : undefined) ??
    transformerConfig.max_seq_length ??
    tokenizerConfig.model_max_length;
  const rows = config.max_position_embeddings;
  const padTokenId = typeof config.pad_token_id === "number" ? config.pad_token_id : 1;
  const offset = offsetPositions.includes(String(config.model_type)) ? padTokenId + 1 : 0;
  const positions = typeof rows === "number" && rows > 0 ? rows - offset : Number.POSITIVE_INFINITY;
  const length = Math.min(
    typeof asked === "number" && asked > 0 ? Math.floor(asked) : Number.POSITIVE_INFINITY,
    positions,
  );
  if (Number.isFinite(length)) return length;
  throw new ModelFolderError(
    "unsupported-option",
    `${root} sets no limit to the length of a text: neither max_seq_length in sentence_bert_config.json, nor model_max_length in ` +
      "tokenizer_config.json, nor max_position_embeddings in config.json. Set one of them.",
    { folder: root },
  );
}

async function readPooling(folder: string, modelConfig: JsonObject): Promise<Pooling> {
  const file = join(folder, "config.json");
  const config = await readOptionalJsonObject(file);
  if (config === undefined) {
    throw new ModelFolderError(
      "missing-file",
      `${file} is missing, but modules.json lists a Pooling module there. Fetch the model's files again.`,
      {
        file,
      },
    );
  }
  const byKeys = Object.entries(pooledByKey).flatMap(([key, mode]) => (config[key] === true ? [mode] : []));
  const given = config.pooling_mode ?? (byKeys.length > 0 ? byKeys : "mean");
  const modes: unknown[] = Array.isArray(given) ? given : [given];
  if (modes.length !== 1 || !poolingModes.includes(String(modes[0]))) {
    throw new ModelFolderError(
      "unsupported-pooling",
      `${file} asks for the pooling ${modes.map(String).join(" + ") || "(none)"}; supported is one of ${poolingModes.join(", ")}.`,
      { file, found: modes, supported: poolingModes },
    );
  }
  const dimension = config.embedding_dimension ?? config.word_embedding_dimension;
  const hidden = modelConfig.hidden_size ?? modelConfig.dim;
  if (typeof dimension === "number" && typeof hidden === "number" && dimension !== hidden) {
    throw new ModelFolderError(
      "unsupported-pooling",
      `${file} expects token embeddings of dimension ${dimension}, but config.json says that the model gives ${hidden}. ` +
        "The two files belong to different models.",
      { file, found: dimension, expected: hidden },
    );
  }
  return { mode: modes[0] as PoolingMode, includePrompt: config.include_prompt !== false };
}

/** A decoder gets last-token pooling where no modules.json says otherwise (sentence-transformers 6.2, `_load_default_modules`). */
function isCausal(config: JsonObject): boolean {
  const architecture = Array.isArray(config.architectures) ? String(config.architectures[0]) : "";
  return architecture.endsWith("ForCausalLM") && config.is_causal !== false;
}

function readPrompts(
  file: string,
  config: JsonObject,
): { readonly prompts: Readonly<Record<string, string>>; readonly defaultPromptName: string | null } {
  const type = config.model_type ?? "SentenceTransformer";
  if (type !== "SentenceTransformer") {
    throw new ModelFolderError(
      "unsupported-module",
      `${file} says that this is a model of type ${JSON.stringify(type)}; supported is only "SentenceTransformer".`,
      { file, found: type },
    );
  }
  const prompts: Record<string, string> = { query: "", document: "" };
  for (const [name, prompt] of Object.entries(isJsonObject(config.prompts) ? config.prompts : {})) {
    if (typeof prompt === "string") prompts[name] = prompt;
    else if (prompt !== null) {
      throw new ModelFolderError(
        "invalid-json",
        `${file} has the prompt "${name}" ${JSON.stringify(prompt)}, but a text was expected.`,
        {
          file,
          prompt: name,
        },
      );
    }
  }
  const name = config.default_prompt_name ?? null;
  if (name !== null && (typeof name !== "string" || !Object.hasOwn(prompts, name))) {
    throw new ModelFolderError(
      "invalid-json",
      `${file} has default_prompt_name ${JSON.stringify(name)}, but its prompts are ${Object.keys(prompts).join(", ")}.`,
      { file, found: name, prompts: Object.keys(prompts) },
    );
  }
  return { prompts, defaultPromptName: name };
}

function readSimilarity(file: string, config: JsonObject): SimilarityFunctionName {
  const name = config.similarity_fn_name ?? "cosine";
  if (name === "cosine" || name === "dot" || name === "euclidean" || name === "manhattan") return name;
  throw new ModelFolderError(
    "unsupported-option",
    `${file} has similarity_fn_name ${JSON.stringify(name)}; supported are cosine, dot, euclidean and manhattan.`,
    { file, found: name },
  );
}

function readTruncateDimension(file: string, config: JsonObject): number | null {
  const dimension = config.truncate_dim ?? null;
  if (dimension === null || (Number.isSafeInteger(dimension) && (dimension as number) > 0))
    return dimension as number | null;
  throw new ModelFolderError(
    "invalid-json",
    `${file} has truncate_dim ${JSON.stringify(dimension)}, but a whole number above 0 was expected.`,
    {
      file,
      found: dimension,
    },
  );
}
