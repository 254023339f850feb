import { writeFile } from "node:fs/promises";
import { Graph } from "@gradbank/graph";
import {
  cosineSimilarity,
  dotScore,
  type Embeddings,
  normalizeEmbeddings,
  type SimilarityFunction,
  truncateEmbeddings,
} from "../embeddings.ts";
import { ModelFolderError, OptionError } from "../errors.ts";
import { type ResolveModelFolderOptions, resolveModelFolder } from "../model-folder/hub.ts";
import { type ModelFolder, readModelFolder } from "../model-folder/read-model-folder.ts";
import { writeModelFolder } from "../model-folder/write-model-folder.ts";
import { createOnnxRuntime, type OnnxRuntimeOptions } from "../runtime/onnx-runtime.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { type Architecture, readArchitecture } from "./architecture.ts";
import { buildColumn, type EncoderModules } from "./encoder-graph.ts";
import { EncoderPrograms } from "./encoder-programs.ts";
import { exportOnnx } from "./export-onnx.ts";
import { Parameters } from "./parameters.ts";
import { planMiniBatches, type TokenSequence } from "./token-batch.ts";

export interface LoadOptions extends OnnxRuntimeOptions, ResolveModelFolderOptions {
  /** Most tokens of a text, special tokens included. Default: what the folder says. */
  readonly maxSequenceLength?: number;
  /** Compiles and runs the programs, instead of one made from `device` and `threads`. Default: ONNX Runtime. */
  readonly runtime?: Runtime;
}

export interface EncodeOptions {
  /** Texts encoded at once. Default 32. */
  readonly batchSize?: number;
  /** Text put before each text. */
  readonly prompt?: string;
  /** Name of one of the model's prompts; give this or `prompt`. Default: the model's default prompt, if it has one. */
  readonly promptName?: string;
  /** Scale embeddings to length 1. Default false: what the model's modules give. */
  readonly normalizeEmbeddings?: boolean;
}

export interface SaveOptions {
  /** Replace the folder even when it holds files that are not part of a model. Default false. */
  readonly overwrite?: boolean;
  /** More files: path inside the folder to a function that writes to the path it is given. */
  readonly extraFiles?: Readonly<Record<string, (path: string) => Promise<void>>>;
}

/** A model that turns texts into embeddings, and whose weights can be trained. */
export class SentenceEncoder {
  /** The folder or hub id that it was loaded from. */
  readonly name: string;
  readonly folder: ModelFolder;
  readonly tokenizer: Tokenizer;
  readonly modules: EncoderModules;
  readonly maxSequenceLength: number;
  /** Weights that embeddings depend on, by name. Others, such as an unused pooler, are kept and saved as they are. */
  readonly trainedParameters: ReadonlySet<string>;
  /** The encoder's passes, for losses. */
  readonly programs: EncoderPrograms;

  private constructor(
    name: string,
    folder: ModelFolder,
    tokenizer: Tokenizer,
    modules: EncoderModules,
    options: LoadOptions,
  ) {
    this.name = name;
    this.folder = folder;
    this.tokenizer = tokenizer;
    this.modules = modules;
    this.maxSequenceLength = resolveMaxSequenceLength(folder, options.maxSequenceLength);
    this.trainedParameters = usedParameters(folder, modules);
    this.programs = new EncoderPrograms(
      resolveRuntime(options),
      modules,
      tokenizer.padTokenId,
      modules.architecture.maximumPositions,
    );
  }

  /**
   * Loads a model.
   * @param nameOrPath a folder of sentence-transformers (2.x to 6.x) or Hugging Face transformers, or a hub id.
   * @throws ModelFolderError when it cannot be found, read or understood; OptionError for impossible options.
   */
  static async load(nameOrPath: string, options: LoadOptions = {}): Promise<SentenceEncoder> {
    const folder = await readModelFolder(await resolveModelFolder(nameOrPath, options));
    const architecture = readArchitecture(folder.transformer.config);
    const tokenizer = await Tokenizer.load(folder.transformer.folder, { lowercase: folder.lowercase });
    const { weights } = folder.transformer;
    const parameters = new Parameters(
      await Promise.all(
        weights.names
          // Older checkpoints store the numbers 0, 1, 2, ... beside the weights.
          .filter((name) => !name.endsWith("position_ids"))
          .map(async (name) => ({ name, ...(await weights.read(name)) })),
      ),
    );
    const modules = { architecture, parameters, pooling: folder.pooling.mode, normalize: folder.normalize };
    return new SentenceEncoder(nameOrPath, folder, tokenizer, modules, options);
  }

  get architecture(): Architecture {
    return this.modules.architecture;
  }

  get parameters(): Parameters {
    return this.modules.parameters;
  }

  /** Numbers of an embedding. */
  get dimension(): number {
    return this.modules.architecture.hiddenSize;
  }

  /** How the model's embeddings are compared, where that is cosine or dot product. */
  get similarityFunction(): SimilarityFunction {
    return this.folder.similarityFunctionName === "dot" ? "dot" : "cosine";
  }

  /** Token ids of each text with special tokens, cut to `maxSequenceLength`. */
  tokenize(texts: readonly string[]): TokenSequence[] {
    return this.tokenizer.encode(texts, { maxLength: this.maxSequenceLength });
  }

  /**
   * Embeds texts, without dropout.
   * @returns one row a text, in the order given.
   * @throws OptionError for texts that are no strings, an unknown prompt name or a batch size below 1.
   */
  async encode(texts: readonly string[], options: EncodeOptions = {}): Promise<Embeddings> {
    const { batchSize = 32 } = options;
    if (!Number.isInteger(batchSize) || batchSize < 1)
      throw new OptionError("invalid-option", `batchSize is ${batchSize}; it must be a whole number of at least 1.`, {
        batchSize,
      });
    const wrong = texts.findIndex((text) => typeof text !== "string");
    if (wrong >= 0)
      throw new OptionError(
        "invalid-input",
        `encode: text ${wrong} of ${texts.length} is ${texts[wrong] === null ? "null" : typeof texts[wrong]}; expected a string.`,
        { index: wrong },
      );
    const prompt = this.#resolvePrompt(options);
    const sequences = this.tokenize(prompt ? texts.map((text) => prompt + text) : texts);
    const { dimension } = this;
    const data = new Float32Array(texts.length * dimension);
    for (const rows of planMiniBatches(sequences, { miniBatchSize: batchSize })) {
      const embedded = await this.programs.embed({ sequences, rows });
      rows.forEach((row, index) => {
        data.set(embedded.subarray(index * dimension, (index + 1) * dimension), row * dimension);
      });
    }
    let embeddings: Embeddings = { data, rows: texts.length, dimension };
    const { truncateDimension } = this.folder;
    if (truncateDimension !== null) embeddings = truncateEmbeddings(embeddings, truncateDimension);
    return options.normalizeEmbeddings ? normalizeEmbeddings(embeddings) : embeddings;
  }

  /**
   * Scores of every row of `left` with every row of `right`, by the model's own similarity function.
   * @returns `[left.rows, right.rows]`, flat.
   * @throws OptionError when the model uses a function other than cosine and dot.
   */
  similarity(left: Embeddings, right: Embeddings): Float32Array {
    const { similarityFunctionName } = this.folder;
    if (similarityFunctionName === "cosine") return cosineSimilarity(left, right);
    if (similarityFunctionName === "dot") return dotScore(left, right);
    throw new OptionError(
      "invalid-option",
      `${this.name} compares by ${similarityFunctionName}; supported are cosine and dot. Use cosineSimilarity or dotScore directly.`,
      { similarityFunctionName },
    );
  }

  /**
   * Saves the model as a folder that Python sentence-transformers 6.2 opens, with `onnx/model.onnx` for
   * transformers.js. The folder is written whole or not at all.
   * @throws ModelFolderError when the disk is full, the target is a file or holds other files.
   */
  async save(folder: string, options: SaveOptions = {}): Promise<void> {
    const { folder: source, modules } = this;
    await writeModelFolder(
      folder,
      {
        ...source,
        maxSequenceLength: this.maxSequenceLength,
        embeddingDimension: this.dimension,
        transformer: {
          folder: source.transformer.folder,
          config: source.transformer.config,
          weights: new Map([...modules.parameters].map(({ name, shape, data }) => [name, { shape, data }])),
        },
      },
      {
        overwrite: options.overwrite ?? false,
        extraFiles: {
          "onnx/model.onnx": (path) => writeFile(path, exportOnnx(modules)),
          ...options.extraFiles,
        },
      },
    );
  }

  /** Frees the compiled programs. */
  async release(): Promise<void> {
    await this.programs.release();
  }

  #resolvePrompt({ prompt, promptName }: EncodeOptions): string {
    const { prompts, defaultPromptName, pooling } = this.folder;
    if (prompt !== undefined && promptName !== undefined)
      throw new OptionError("invalid-option", "encode: give prompt or promptName, not both.", { prompt, promptName });
    const name = promptName ?? (prompt === undefined ? defaultPromptName : null);
    if (name !== null && prompts[name] === undefined)
      throw new OptionError(
        "invalid-option",
        `encode: promptName is "${name}"; the model has ${
          Object.keys(prompts)
            .map((known) => `"${known}"`)
            .join(", ") || "no prompts"
        }.`,
        { promptName: name, known: Object.keys(prompts) },
      );
    const text = prompt ?? (name === null ? "" : prompts[name]!);
    if (text && !pooling.includePrompt)
      throw new OptionError(
        "invalid-option",
        `encode: ${this.name} leaves the prompt out of pooling (include_prompt is false), which is not supported with a prompt. Encode without one.`,
        { prompt: text },
      );
    return text;
  }
}

function resolveRuntime(options: LoadOptions): Runtime {
  const { runtime, device, threads } = options;
  if (runtime && (device !== undefined || threads !== undefined))
    throw new OptionError(
      "invalid-option",
      `load was given a runtime and ${device === undefined ? `threads ${threads}` : `device "${device}"`}. Give them to the runtime, or leave the runtime out.`,
      { device, threads },
    );
  return runtime ?? createOnnxRuntime(options);
}

function resolveMaxSequenceLength(folder: ModelFolder, asked: number | undefined): number {
  if (asked === undefined) return folder.maxSequenceLength;
  const positions = readArchitecture(folder.transformer.config);
  const most =
    positions.positions.kind === "from-zero"
      ? positions.maximumPositions
      : positions.maximumPositions - positions.positions.paddingId - 1;
  if (!Number.isInteger(asked) || asked < 3 || asked > most)
    throw new OptionError(
      "invalid-option",
      `maxSequenceLength is ${asked}; it must be a whole number from 3 to ${most}, the positions that the model has.`,
      { maxSequenceLength: asked, most },
    );
  return asked;
}

/** The weights that the encoder's graph reads; building it checks that all are there and fit. */
function usedParameters(folder: ModelFolder, modules: EncoderModules): ReadonlySet<string> {
  const graph = new Graph("check");
  try {
    buildColumn(graph, modules, { prefix: "", dropout: false });
  } catch (cause) {
    throw new ModelFolderError(
      "invalid-weights",
      `The weights in ${folder.folder} do not fit its config.json (${modules.architecture.modelType}, hidden size ${modules.architecture.hiddenSize}, ${modules.architecture.layers} layers): ${(cause as Error).message}`,
      { folder: folder.folder },
      { cause },
    );
  }
  return new Set([...graph.inputs.keys()].filter((name) => modules.parameters.has(name)));
}
