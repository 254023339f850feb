import type { DataType, TensorData } from "./data-type.ts";
import { GraphError, OperatorFailure } from "./errors.ts";
import type { AnyOperator, Attributes } from "./operator.ts";
import { canonicalDimension, type Dimension, elementCount, formatShape, type Shape } from "./shape.ts";

/** Element type and shape of a tensor. */
export interface TensorType {
  readonly dataType: DataType;
  readonly shape: Shape;
}

/** A tensor of a graph: an input, a constant or the output of a node. Made by the graph and the operator functions. */
export interface Value extends TensorType {
  readonly graph: Graph;
  readonly name: string;
  readonly source:
    | { readonly kind: "input" }
    | { readonly kind: "constant"; readonly data: TensorData }
    | { readonly kind: "node"; readonly node: Node; readonly index: number };
}

/** One application of an operator. */
export interface Node {
  readonly name: string;
  readonly operator: AnyOperator;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: Attributes;
  /** The name of the forward node that this node differentiates; absent on forward nodes. */
  readonly backwardOf?: string;
}

/**
 * A tensor program under construction. Nodes are appended, so their order is a topological order.
 *
 * ```ts
 * const graph = new Graph("example");
 * const x = graph.input("x", "float32", ["batch", 3]);
 * const loss = reduceSum(multiply(x, x));
 * const [dx] = gradients([{ of: loss }], [x]);
 * const bytes = serializeGraph(graph, { outputs: { loss, dx } });
 * ```
 */
export class Graph {
  readonly name: string;
  readonly nodes: Node[] = [];
  readonly inputs = new Map<string, Value>();
  readonly #names = new Set<string>();
  readonly #counters = new Map<string, number>();
  readonly #scalars = new Map<string, Value>();
  readonly #scopes: string[] = [];
  #backwardOf: string | undefined;

  constructor(name: string) {
    this.name = name;
  }

  /**
   * Declares a tensor that is given at each run.
   * @throws GraphError "duplicate-name" when the graph has a value of that name.
   */
  input(name: string, dataType: DataType, shape: Shape): Value {
    const value: Value = {
      graph: this,
      name,
      dataType,
      shape: shape.map(canonicalDimension),
      source: { kind: "input" },
    };
    this.#claim(name);
    this.inputs.set(name, value);
    return value;
  }

  /**
   * A tensor whose elements are part of the graph.
   * @throws GraphError "shape-mismatch" when the number of elements is not the shape's.
   */
  constant(dataType: DataType, shape: readonly number[], data: TensorData, name?: string): Value {
    const expected = elementCount(shape);
    if (data.length !== expected)
      throw new GraphError(
        "shape-mismatch",
        `A constant of shape ${formatShape(shape)} needs ${expected} elements; ${data.length} were given.`,
        { shape, elements: data.length },
      );
    const unique = name === undefined ? this.#uniqueName("constant") : this.#claim(this.#scoped(name));
    return { graph: this, name: unique, dataType, shape, source: { kind: "constant", data } };
  }

  /** A constant of rank 0; the same number is stored once. */
  scalar(dataType: DataType, value: number): Value {
    const key = `${dataType}:${Object.is(value, -0) ? "-0" : value}`;
    const known = this.#scalars.get(key);
    if (known) return known;
    const scalar: Value = {
      graph: this,
      name: this.#claim(this.#unscopedUniqueName(`scalar/${key}`)),
      dataType,
      shape: [],
      source: { kind: "constant", data: scalarData(dataType, value) },
    };
    this.#scalars.set(key, scalar);
    return scalar;
  }

  /** Names everything that `build` adds `scope/...`. */
  scope<Result>(scope: string, build: () => Result): Result {
    this.#scopes.push(scope);
    try {
      return build();
    } finally {
      this.#scopes.pop();
    }
  }

  /** Marks everything that `build` adds as the derivative of a forward node. */
  backwardScope<Result>(forward: string, build: () => Result): Result {
    const scopes = this.#scopes.splice(0);
    const before = this.#backwardOf;
    this.#backwardOf = forward;
    try {
      return this.scope(`backward/${forward}`, build);
    } finally {
      this.#backwardOf = before;
      this.#scopes.push(...scopes);
    }
  }

  /**
   * Appends a node; the operator functions (`add`, `matmul`, ...) are the usual way in.
   * @throws GraphError that names the node, its operator and the shapes when the operator refuses them.
   */
  apply(operator: AnyOperator, inputs: readonly Value[], attributes: Attributes = {}, name?: string): readonly Value[] {
    for (const value of inputs)
      if (value.graph !== this)
        throw new GraphError(
          "foreign-value",
          `"${value.name}" belongs to graph "${value.graph.name}" and cannot be an input of ${operator.name} in graph "${this.name}". Build it in the same graph, or pass it as an input.`,
          { value: value.name, operator: operator.name },
        );
    const nodeName = name === undefined ? this.#uniqueName(operator.name) : this.#claim(this.#scoped(name));
    const types = this.#infer(operator, nodeName, inputs, attributes);
    const outputs: Value[] = [];
    const node: Node = {
      name: nodeName,
      operator,
      inputs,
      outputs,
      attributes,
      ...(this.#backwardOf === undefined ? {} : { backwardOf: this.#backwardOf }),
    };
    types.forEach((type, index) => {
      outputs.push({
        graph: this,
        name: index === 0 ? nodeName : this.#claim(`${nodeName}:${index}`),
        dataType: type.dataType,
        shape: type.shape,
        source: { kind: "node", node, index },
      });
    });
    this.nodes.push(node);
    return outputs;
  }

  /** The graph's input that has this symbol as one of its dimensions, with the axis. */
  findSymbol(symbol: string): { input: Value; axis: number } | undefined {
    for (const input of this.inputs.values()) {
      const axis = input.shape.indexOf(symbol);
      if (axis >= 0) return { input, axis };
    }
    return undefined;
  }

  #infer(operator: AnyOperator, name: string, inputs: readonly Value[], attributes: Attributes): TensorType[] {
    try {
      return operator.infer(inputs, attributes);
    } catch (error) {
      if (!(error instanceof OperatorFailure)) throw error;
      const given = inputs.map((value) => `${value.name}: ${value.dataType} ${formatShape(value.shape)}`);
      throw new GraphError(
        error.code,
        `Node "${name}" (${operator.name}) of graph "${this.name}": ${error.message} Given: ${given.join("; ") || "no inputs"}.`,
        {
          node: name,
          operator: operator.name,
          shapes: inputs.map((value) => value.shape),
          dataTypes: inputs.map((value) => value.dataType),
          attributes,
        },
      );
    }
  }

  #scoped(name: string): string {
    return [...this.#scopes, name].join("/");
  }

  #uniqueName(base: string): string {
    return this.#claim(this.#unscopedUniqueName(this.#scoped(base)));
  }

  #unscopedUniqueName(base: string): string {
    let name = base;
    while (this.#names.has(name)) {
      const count = (this.#counters.get(base) ?? 1) + 1;
      this.#counters.set(base, count);
      name = `${base}_${count}`;
    }
    return name;
  }

  #claim(name: string): string {
    if (this.#names.has(name))
      throw new GraphError(
        "duplicate-name",
        `Graph "${this.name}" already has a value named "${name}". Names of inputs and named nodes must be unique; choose another or use a scope.`,
        { name, graph: this.name },
      );
    this.#names.add(name);
    return name;
  }
}

function scalarData(dataType: DataType, value: number): TensorData {
  switch (dataType) {
    case "float32":
      return Float32Array.of(value);
    case "float64":
      return Float64Array.of(value);
    case "int32":
      return Int32Array.of(value);
    case "int64":
      return BigInt64Array.of(BigInt(value));
    case "uint8":
    case "bool":
      return Uint8Array.of(value);
    case "float16":
      throw new GraphError(
        "data-type-mismatch",
        "A float16 scalar cannot be written from a number: make a float32 scalar and cast it.",
        { value },
      );
  }
}

/** A dimension list that is fully known. */
export function isStatic(shape: Shape): shape is readonly number[] {
  return shape.every((dimension: Dimension) => typeof dimension === "number");
}
