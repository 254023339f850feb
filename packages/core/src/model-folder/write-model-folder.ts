import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ModelFolderError } from "../errors.ts";
import { type JsonObject, readOptionalJsonObject } from "./read-json-file.ts";
import type { ModelFolder } from "./read-model-folder.ts";
import { type Float32Tensor, writeSafetensors } from "./safetensors.ts";
import { type WholeFolderOptions, writeWholeFolder } from "./whole-folder.ts";

/** The version of sentence-transformers whose format is written. */
const formatVersion = "6.2.0";

/** Class that holds the bare encoder, by `model_type`. */
const bareArchitectures: Readonly<Record<string, string>> = {
  bert: "BertModel",
  roberta: "RobertaModel",
  "xlm-roberta": "XLMRobertaModel",
  mpnet: "MPNetModel",
  distilbert: "DistilBertModel",
};

/** What is written: the description of a model, as `readModelFolder` gives it, with weights in place of its reader. */
export type ModelFolderContent = Omit<ModelFolder, "folder" | "transformer"> & {
  readonly transformer: {
    /** Folder from which the tokenizer's files are copied. */
    readonly folder: string;
    /** config.json of the bare encoder. */
    readonly config: JsonObject;
    /** Weights by the names of the bare encoder. */
    readonly weights: ReadonlyMap<string, Float32Tensor>;
  };
  /** Number of dimensions of a token embedding. */
  readonly embeddingDimension: number;
};

export type WriteModelFolderOptions = WholeFolderOptions & {
  /**
   * More files: path inside the folder (`README.md`, `onnx/model.onnx`) -> function that writes to the path it is given.
   * @default none
   */
  readonly extraFiles?: Readonly<Record<string, (path: string) => Promise<void>>>;
};

/**
 * Writes a model folder in the format of sentence-transformers 6.2, as a whole or not at all (see `writeWholeFolder`).
 *
 * Files: modules.json, config_sentence_transformers.json, sentence_bert_config.json, config.json, model.safetensors, the
 * tokenizer's files, 1_Pooling/config.json and, for a normalizing model, 2_Normalize/config.json. The tokenizer's files are
 * copied byte for byte, except that tokenizer_config.json gets `maxSequenceLength` as its `model_max_length`: that is where
 * 6.2 keeps it, and where transformers.js looks.
 *
 * @param folder Folder to write; an older model there is replaced.
 * @throws ModelFolderError of `writeWholeFolder` and `writeSafetensors`; `missing-file` when a tokenizer file is gone.
 */
export async function writeModelFolder(
  folder: string,
  content: ModelFolderContent,
  options: WriteModelFolderOptions = {},
): Promise<void> {
  await writeWholeFolder(folder, (temporary) => writeContent(temporary, content, options.extraFiles ?? {}), options);
}

async function writeContent(
  folder: string,
  content: ModelFolderContent,
  extraFiles: Readonly<Record<string, (path: string) => Promise<void>>>,
): Promise<void> {
  const { transformer, pooling } = content;
  await writeJson(join(folder, "modules.json"), [
    { idx: 0, name: "0", path: "", type: "sentence_transformers.base.modules.transformer.Transformer" },
    {
      idx: 1,
      name: "1",
      path: "1_Pooling",
      type: "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    },
    ...(content.normalize
      ? [{ idx: 2, name: "2", path: "2_Normalize", type: "sentence_transformers.base.modules.normalize.Normalize" }]
      : []),
  ]);
  await writeJson(
    join(folder, "config_sentence_transformers.json"),
    sorted({
      model_type: "SentenceTransformer",
      __version__: { gradbank: gradbankVersion(), sentence_transformers: formatVersion },
      prompts: sorted(content.prompts),
      default_prompt_name: content.defaultPromptName,
      similarity_fn_name: content.similarityFunctionName,
      ...(content.truncateDimension === null ? {} : { truncate_dim: content.truncateDimension }),
    }),
  );
  await writeJson(
    join(folder, "sentence_bert_config.json"),
    {
      transformer_task: "feature-extraction",
      modality_config: { text: { method: "forward", method_output_name: "last_hidden_state" } },
      module_output_name: "token_embeddings",
      ...(content.lowercase ? { do_lower_case: true } : {}),
    },
    4,
  );
  await writeJson(join(folder, "config.json"), sorted(bareConfig(transformer.config)));
  await writeSafetensors(join(folder, "model.safetensors"), transformer.weights, { format: "pt" });
  await mkdir(join(folder, "1_Pooling"));
  await writeJson(
    join(folder, "1_Pooling", "config.json"),
    {
      embedding_dimension: content.embeddingDimension,
      pooling_mode: pooling.mode,
      include_prompt: pooling.includePrompt,
    },
    4,
  );
  if (content.normalize) {
    await mkdir(join(folder, "2_Normalize"));
    const name = "sentence_embedding";
    await writeJson(
      join(folder, "2_Normalize", "config.json"),
      { module_input_name: name, module_output_name: name },
      4,
    );
  }
  await writeTokenizer(folder, content);
  for (const [path, write] of Object.entries(extraFiles)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await write(join(folder, path));
  }
}

function bareConfig(config: JsonObject): JsonObject {
  // transformers 5 writes `dtype` where 4 wrote `torch_dtype`, and no longer where the model came from.
  const { torch_dtype: _dtype, _name_or_path: _origin, ...rest } = config;
  const architecture = bareArchitectures[String(config.model_type)];
  return { ...rest, ...(architecture === undefined ? {} : { architectures: [architecture] }), dtype: "float32" };
}

async function writeTokenizer(folder: string, content: ModelFolderContent): Promise<void> {
  const source = content.transformer.folder;
  for (const file of content.tokenizerFiles) {
    if (file === "tokenizer_config.json") continue;
    await copyFile(join(source, file), join(folder, file)).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "ENOENT") throw cause;
      throw new ModelFolderError(
        "missing-file",
        `${join(source, file)}, from which the tokenizer is copied, is gone. Keep the folder of the original model until the new one is saved.`,
        { file: join(source, file) },
        { cause },
      );
    });
  }
  const config = (await readOptionalJsonObject(join(source, "tokenizer_config.json"))) ?? {};
  await writeJson(join(folder, "tokenizer_config.json"), { ...config, model_max_length: content.maxSequenceLength });
}

async function writeJson(path: string, value: unknown, indent = 2): Promise<void> {
  const text = JSON.stringify(value, null, indent)
    // JavaScript writes 1.0 as 1; transformers 5 insists on a float in these two places.
    .replace(/^(\s*"(?:layer_norm_eps|initializer_range)": -?\d+)(,?)$/gm, "$1.0$2");
  await writeFile(path, `${text}\n`);
}

function sorted(object: Readonly<Record<string, unknown>>): JsonObject {
  return Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function gradbankVersion(): string {
  return (createRequire(import.meta.url)("../../package.json") as { version: string }).version;
}
