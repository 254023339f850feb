import { Graph, type Value } from "@gradbank/graph";
import type { Program, Runtime } from "../runtime/runtime.ts";
import { float32Tensor, type Tensor } from "../runtime/tensor.ts";
import { type DropoutKey, drawDropoutMask } from "./dropout.ts";
import { buildColumn, buildParameterGradients, type EncoderModules, gradientOutputs } from "./encoder-graph.ts";
import { padSequences, type TokenSequence } from "./token-batch.ts";

/** Rows of one column that a program takes. */
export interface ColumnRows {
  readonly sequences: readonly TokenSequence[];
  /** Numbers of the rows to take. */
  readonly rows: ArrayLike<number>;
  /** The column's place in the batch; dropout differs between columns. Default 0. */
  readonly column?: number;
  /** Draw dropout masks with this key; absent: no dropout. */
  readonly dropout?: DropoutKey | undefined;
}

/** What one module of the encoder gave in a forward pass. */
export interface ModuleOutput {
  /** The module's name in PyTorch, or `pooling`. */
  readonly module: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Compiles and runs the encoder's passes. Programs are compiled when first needed. */
export class EncoderPrograms {
  readonly runtime: Runtime;
  readonly modules: EncoderModules;
  readonly #padTokenId: number;
  readonly #maximumLength: number;
  readonly #compiled = new Map<string, Promise<Program>>();

  constructor(runtime: Runtime, modules: EncoderModules, padTokenId: number, maximumLength: number) {
    this.runtime = runtime;
    this.modules = modules;
    this.#padTokenId = padTokenId;
    this.#maximumLength = maximumLength;
  }

  /** Embeddings of some rows: `[rows, hiddenSize]`, flat. */
  async embed(column: ColumnRows): Promise<Float32Array> {
    const program = await this.#once(`embed${column.dropout ? "+dropout" : ""}`, () =>
      this.#compileEmbed(column.dropout !== undefined),
    );
    const { embeddings } = await program.run({ ...this.modules.parameters.tensors, ...this.columnInputs("", column) });
    return embeddings!.data as Float32Array;
  }

  /**
   * Encodes rows again and adds the gradients of the weights to the model's.
   * @param gradient gradient that arrives at the rows' embeddings, `[rows, hiddenSize]`, flat.
   * @returns the embeddings of this pass.
   */
  async embedBackward(column: ColumnRows, gradient: Float32Array): Promise<Float32Array> {
    const program = await this.#once(`backward${column.dropout ? "+dropout" : ""}`, () =>
      this.#compileBackward(column.dropout !== undefined),
    );
    const inputs = this.columnInputs("", column);
    const outputs = await program.run({
      ...this.modules.parameters.tensors,
      ...inputs,
      embedding_gradient: float32Tensor(gradient, [column.rows.length, this.modules.architecture.hiddenSize]),
    });
    this.accumulateGradients(outputs, [{ prefix: "", tokenIds: inputs.token_ids! }]);
    return outputs.embeddings!.data as Float32Array;
  }

  /**
   * Outputs of the encoder's linear layers, its normalisations and the embeddings' dropout in one forward pass, in the
   * order of computation: `[tokens, width]`, without padding, row after row. The last is `pooling`: the embeddings,
   * `[rows, hiddenSize]`.
   */
  async activations(column: ColumnRows): Promise<ModuleOutput[]> {
    const program = await this.#once(`activations${column.dropout ? "+dropout" : ""}`, () =>
      this.#compileActivations(column.dropout !== undefined),
    );
    const outputs = await program.run({ ...this.modules.parameters.tensors, ...this.columnInputs("", column) });
    return Object.keys(program.outputs).map((module) => {
      const { shape, data } = outputs[module]!;
      return { module, shape, data: data as Float32Array };
    });
  }

  /** A column's inputs of a program that `buildColumn` wrote with this prefix. */
  columnInputs(prefix: string, { sequences, rows, column = 0, dropout }: ColumnRows): Record<string, Tensor> {
    const padded = padSequences(sequences, rows, this.#padTokenId);
    const inputs: Record<string, Tensor> = {
      [`${prefix}input_ids`]: padded.inputIds,
      [`${prefix}attention_mask`]: padded.attentionMask,
      [`${prefix}token_ids`]: padded.tokenIds,
      [`${prefix}token_places`]: padded.tokenPlaces,
    };
    if (dropout)
      for (const [site, mask] of Object.entries(
        this.dropoutMasks(dropout, column, rows, padded.length, padded.lengths),
      ))
        inputs[`${prefix}dropout/${site}`] = mask;
    return inputs;
  }

  /**
   * Dropout masks of some rows by site, as `embed` draws them.
   * @param length what the rows are padded to.
   * @param lengths tokens of each row. Default: `length` for all, which gives masks for padding too.
   */
  dropoutMasks(
    key: DropoutKey,
    column: number,
    rows: ArrayLike<number>,
    length: number,
    lengths: ArrayLike<number> = new Int32Array(rows.length).fill(length),
  ): Record<string, Tensor> {
    return Object.fromEntries(
      this.modules.architecture.dropoutSites.map((site, index) => [
        site.name,
        drawDropoutMask(key, column, index, site, rows, lengths, length, {
          hiddenSize: this.modules.architecture.hiddenSize,
          heads: this.modules.architecture.heads,
          maximumLength: this.#maximumLength,
        }),
      ]),
    );
  }

  /** Adds a program's gradient outputs to the model's gradients. */
  accumulateGradients(
    outputs: Readonly<Record<string, Tensor>>,
    columns: readonly { prefix: string; tokenIds: Tensor }[],
  ): void {
    const { parameters, architecture } = this.modules;
    for (const parameter of parameters) {
      const gradient = outputs[gradientOutputs.parameter(parameter.name)];
      if (gradient) parameters.addGradient(parameter.name, gradient.data as Float32Array);
    }
    for (const { prefix, tokenIds } of columns)
      parameters.addRowGradients(
        architecture.names.wordEmbeddings,
        tokenIds.data as BigInt64Array,
        outputs[gradientOutputs.wordVectors(prefix)]!.data as Float32Array,
      );
  }

  /** A program of another module, such as a loss over this encoder; compiled once and released with the encoder. */
  compile(key: string, graph: () => { graph: Graph; outputs: Record<string, Value> }): Promise<Program> {
    return this.#once(key, () => {
      const built = graph();
      return this.runtime.compile(built.graph, built.outputs);
    });
  }

  async release(): Promise<void> {
    const programs = [...this.#compiled.values()];
    this.#compiled.clear();
    for (const program of programs) await (await program).release();
  }

  #compileEmbed(dropout: boolean): Promise<Program> {
    const graph = new Graph("encode");
    const { embeddings } = buildColumn(graph, this.modules, { prefix: "", dropout });
    return this.runtime.compile(graph, { embeddings });
  }

  #compileActivations(dropout: boolean): Promise<Program> {
    const graph = new Graph("activations");
    const outputs: Record<string, Value> = {};
    const observe = (module: string, output: Value) => {
      outputs[module] = output;
    };
    const { embeddings } = buildColumn(graph, this.modules, { prefix: "", dropout, observe });
    return this.runtime.compile(graph, { ...outputs, pooling: embeddings });
  }

  #compileBackward(dropout: boolean): Promise<Program> {
    const graph = new Graph("encode_backward");
    const { embeddings, wordVectors } = buildColumn(graph, this.modules, { prefix: "", dropout });
    const gradient = graph.input("embedding_gradient", "float32", embeddings.shape);
    return this.runtime.compile(graph, {
      embeddings,
      ...buildParameterGradients(graph, this.modules, [{ of: embeddings, gradient }], [{ prefix: "", wordVectors }]),
    });
  }

  #once(key: string, compile: () => Promise<Program>): Promise<Program> {
    let program = this.#compiled.get(key);
    if (!program) {
      program = compile();
      this.#compiled.set(key, program);
    }
    return program;
  }
}
