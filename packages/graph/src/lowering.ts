import type { DataType, TensorData } from "./data-type.ts";
import { GraphError } from "./errors.ts";
import { type Dimension, dimensionTerms, formatShape, type Shape } from "./shape.ts";

/** ONNX Runtime's execution providers that graphs are lowered for. They differ in the operators they have. */
export type ExecutionProvider = "cpu" | "webgpu" | "cuda";

export type OnnxAttribute =
  | { readonly kind: "int"; readonly value: number }
  | { readonly kind: "ints"; readonly value: readonly number[] }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "string"; readonly value: string };

/** An ONNX node before serialisation. */
export interface OnnxNode {
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
  readonly backwardOf?: string;
}

/** An ONNX initializer. */
export interface OnnxTensor {
  readonly name: string;
  readonly dataType: DataType;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

export const int = (value: number): OnnxAttribute => ({ kind: "int", value });
export const ints = (value: readonly number[]): OnnxAttribute => ({ kind: "ints", value });
export const float = (value: number): OnnxAttribute => ({ kind: "float", value });
export const string = (value: string): OnnxAttribute => ({ kind: "string", value });

interface EmitOptions {
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  readonly domain?: string;
  readonly outputs?: readonly string[];
}

/** Where a lowering finds out what its graph's symbols stand for. */
export interface SymbolSource {
  readonly name: string;
  /** The input that has this symbol as one of its dimensions, with the axis. */
  findSymbol(symbol: string): { readonly input: { readonly name: string }; readonly axis: number } | undefined;
}

/** Collects the ONNX nodes of one graph for one execution provider. Operators' `lower` writes to it. */
export class Lowering {
  readonly provider: ExecutionProvider;
  readonly nodes: OnnxNode[] = [];
  readonly initializers = new Map<string, OnnxTensor>();
  /** Inputs of the graph whose run-time shape is read. */
  readonly shapeSources = new Set<string>();
  readonly #graph: SymbolSource;
  readonly #emitted = new Map<string, string>();
  #scope = "";
  #backwardOf: string | undefined;
  #count = 0;

  constructor(graph: SymbolSource, provider: ExecutionProvider) {
    this.#graph = graph;
    this.provider = provider;
  }

  /** Names of the nodes emitted from here on begin with the graph node's name. */
  enter(node: { readonly name: string; readonly backwardOf?: string }): void {
    this.#scope = node.name;
    this.#backwardOf = node.backwardOf;
    this.#count = 0;
  }

  /** Emits an ONNX node; its outputs get fresh names unless given. Returns the first output's name. */
  emit(opType: string, inputs: readonly string[], options: EmitOptions = {}): string {
    const suffix = this.#count++ === 0 ? "" : `.${this.#count}`;
    const name = `${this.#scope}${suffix}:${opType}`;
    const outputs = options.outputs ?? [name];
    this.nodes.push({
      name,
      opType,
      domain: options.domain ?? "",
      inputs,
      outputs,
      attributes: options.attributes ?? {},
      ...(this.#backwardOf === undefined ? {} : { backwardOf: this.#backwardOf }),
    });
    return outputs[0]!;
  }

  /** A constant of rank 0; stored once. */
  scalar(dataType: DataType, value: number): string {
    return this.#constant(dataType, [], [value]);
  }

  /** A one-dimensional int64 constant; stored once. */
  int64s(values: readonly number[]): string {
    return this.#constant("int64", [values.length], values);
  }

  /** A one-dimensional int64 tensor that holds the run-time value of each dimension. */
  dimensions(shape: Shape): string {
    if (shape.every((dimension) => typeof dimension === "number")) return this.int64s(shape as number[]);
    const key = formatShape(shape);
    return this.#once(`shape${key}`, () => {
      const parts = shape.map((dimension) => this.#dimension(dimension));
      if (parts.length === 1) return parts[0]!;
      return this.#shared(`shape${key}`, "Concat", parts, { axis: int(0) });
    });
  }

  /** Run-time value of a dimension as an int64 tensor of rank 0. */
  dimensionScalar(dimension: Dimension): string {
    if (typeof dimension === "number") return this.scalar("int64", dimension);
    return this.#once(`dimension/${dimension}/scalar`, () =>
      this.#shared(`dimension/${dimension}/scalar`, "Squeeze", [this.#dimension(dimension), this.int64s([0])]),
    );
  }

  #dimension(dimension: Dimension): string {
    if (typeof dimension === "number") return this.int64s([dimension]);
    return this.#once(`dimension/${dimension}`, () => {
      const terms = dimensionTerms(dimension).map(({ coefficient, symbols }) => {
        const factors = symbols.map((symbol) => this.#symbol(symbol));
        if (coefficient !== 1 || factors.length === 0) factors.push(this.int64s([coefficient]));
        return factors.reduce((product, factor, index) =>
          this.#shared(`dimension/${dimension}/product_${symbols.join("*")}_${index}`, "Mul", [product, factor]),
        );
      });
      return terms.reduce((sum, term, index) =>
        this.#shared(`dimension/${dimension}/sum_${index}`, "Add", [sum, term]),
      );
    });
  }

  #symbol(symbol: string): string {
    return this.#once(`dimension/${symbol}`, () => {
      const source = this.#graph.findSymbol(symbol);
      if (!source)
        throw new GraphError(
          "unknown-value",
          `Dimension "${symbol}" of graph "${this.#graph.name}" cannot be known when it runs: no input has it as a dimension of its own. Declare an input with that dimension.`,
          { symbol, graph: this.#graph.name },
        );
      this.shapeSources.add(source.input.name);
      return this.#shared(`dimension/${symbol}`, "Shape", [source.input.name], {
        start: int(source.axis),
        end: int(source.axis + 1),
      });
    });
  }

  /** Emits a node that belongs to no graph node, under a name of its own. */
  #shared(
    name: string,
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
  ): string {
    this.nodes.push({ name, opType, domain: "", inputs, outputs: [name], attributes });
    return name;
  }

  #once(key: string, build: () => string): string {
    const known = this.#emitted.get(key);
    if (known !== undefined) return known;
    const name = build();
    this.#emitted.set(key, name);
    return name;
  }

  #constant(dataType: DataType, shape: readonly number[], values: readonly number[]): string {
    const name = `constant/${dataType}${formatShape(shape)}/${values.join(",")}`;
    if (!this.initializers.has(name))
      this.initializers.set(name, { name, dataType, shape, data: toTensorData(dataType, values) });
    return name;
  }
}

function toTensorData(dataType: DataType, values: readonly number[]): TensorData {
  switch (dataType) {
    case "float32":
      return Float32Array.from(values);
    case "float64":
      return Float64Array.from(values);
    case "int32":
      return Int32Array.from(values);
    case "int64":
      return BigInt64Array.from(values, BigInt);
    case "uint8":
    case "bool":
      return Uint8Array.from(values);
    case "float16":
      throw new GraphError("data-type-mismatch", "A float16 constant must be made from a float32 one by a cast.", {
        values,
      });
  }
}
