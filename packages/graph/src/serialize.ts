import { create, toBinary } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from "onnx-buf";
import type { TensorData } from "./data-type.ts";
import { bytesPerElement } from "./data-type.ts";
import { GraphError } from "./errors.ts";
import type { Graph, Node, TensorType, Value } from "./graph.ts";
import { isStatic } from "./graph.ts";
import { type ExecutionProvider, Lowering, type OnnxAttribute, type OnnxNode, type OnnxTensor } from "./lowering.ts";
import { onnxDataType } from "./onnx-data-type.ts";
import { elementCount, formatShape } from "./shape.ts";

/** ONNX operator set that graphs are written in (ONNX 1.15; LayerNormalization since 17, reductions with axes as an input since 18). */
export const operatorSetVersion = 20;

/** ONNX file format version that goes with `operatorSetVersion`. */
const irVersion = 9n;

/** Protocol buffers cannot be larger than 2 GiB. */
const maximumBytes = 2 ** 31 - 1;

export interface SerializeOptions {
  /** Name of each result to the value that gives it. Nodes that no output needs are left out. */
  readonly outputs: Readonly<Record<string, Value>>;
  /** Where the graph will run. Default `"cpu"`. */
  readonly provider?: ExecutionProvider;
  /** Inputs to store inside the model instead of asking for them at each run, by name. */
  readonly initializers?: ReadonlyMap<string, TensorData>;
  /** Free text stored as the model's doc string. */
  readonly description?: string;
}

/** A model as bytes, with what it expects and gives. */
export interface SerializedGraph {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly inputs: Readonly<Record<string, TensorType>>;
  readonly outputs: Readonly<Record<string, TensorType>>;
  readonly nodes: readonly OnnxNode[];
}

/**
 * Lowers a graph to ONNX nodes of one execution provider and serialises it as a `ModelProto`.
 *
 * @throws GraphError "unknown-value" when an output is of another graph or an initializer names no input,
 * "shape-mismatch" when an initializer's size is not its input's, "unsupported-on-provider" when an operator has no
 * form on the provider.
 */
export function serializeGraph(graph: Graph, options: SerializeOptions): SerializedGraph {
  const outputs = Object.entries(options.outputs);
  for (const [name, value] of outputs)
    if (value.graph !== graph)
      throw new GraphError(
        "unknown-value",
        `Output "${name}" ("${value.name}") belongs to graph "${value.graph.name}", not to "${graph.name}".`,
        { output: name, graph: graph.name },
      );

  const { nodes, values } = reachable(
    graph,
    outputs.map(([, value]) => value),
  );
  const lowering = new Lowering(graph, options.provider ?? "cpu");
  for (const node of nodes) {
    lowering.enter(node);
    node.operator.lower(
      lowering,
      node.inputs.map((value) => value.name),
      node.outputs.map((value) => value.name),
      node,
    );
  }
  const taken = new Set([...graph.inputs.keys(), ...lowering.nodes.flatMap((node) => node.outputs)]);
  for (const [name, value] of outputs) {
    if (taken.has(name))
      throw new GraphError(
        "duplicate-name",
        `Output "${name}" has the name of another value of graph "${graph.name}". Give it another name.`,
        { name, graph: graph.name },
      );
    lowering.enter({ name: `output/${name}` });
    lowering.emit("Identity", [value.name], { outputs: [name] });
  }

  const stored = new Map<string, OnnxTensor>(lowering.initializers);
  for (const value of values)
    if (value.source.kind === "constant")
      stored.set(value.name, { ...value, shape: value.shape as number[], data: value.source.data });
  for (const [name, data] of options.initializers ?? []) stored.set(name, initializer(graph, name, data));

  const inputs = [...graph.inputs.values()].filter(
    (input) => (values.has(input) || lowering.shapeSources.has(input.name)) && !stored.has(input.name),
  );
  const model = create(ModelProtoSchema, {
    irVersion,
    opsetImport: [
      create(OperatorSetIdProtoSchema, { domain: "", version: BigInt(operatorSetVersion) }),
      create(OperatorSetIdProtoSchema, { domain: "com.microsoft", version: 1n }),
    ],
    producerName: "gradbank",
    docString: options.description ?? "",
    graph: create(GraphProtoSchema, {
      name: graph.name,
      node: lowering.nodes.map(nodeProto),
      input: inputs.map((value) => valueInfo(value.name, value)),
      output: outputs.map(([name, value]) => valueInfo(name, value)),
      initializer: [...stored.values()].map(tensorProto),
    }),
  });
  const size = [...stored.values()].reduce((sum, tensor) => sum + tensor.data.byteLength, 0);
  if (size > maximumBytes)
    throw new GraphError(
      "invalid-attribute",
      `Graph "${graph.name}" stores ${size} bytes of tensors; one ONNX file holds at most ${maximumBytes}. Pass large tensors as inputs.`,
      { graph: graph.name, bytes: size },
    );
  return {
    bytes: toBinary(ModelProtoSchema, model),
    inputs: Object.fromEntries(inputs.map((value) => [value.name, typeOf(value)])),
    outputs: Object.fromEntries(outputs.map(([name, value]) => [name, typeOf(value)])),
    nodes: lowering.nodes,
  };
}

function reachable(graph: Graph, outputs: readonly Value[]): { nodes: Node[]; values: Set<Value> } {
  const values = new Set<Value>(outputs);
  const nodes: Node[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((output) => values.has(output))) continue;
    nodes.push(node);
    for (const input of node.inputs) values.add(input);
  }
  return { nodes: nodes.reverse(), values };
}

function initializer(graph: Graph, name: string, data: TensorData): OnnxTensor {
  const input = graph.inputs.get(name);
  if (!input)
    throw new GraphError(
      "unknown-value",
      `Initializer "${name}" names no input of graph "${graph.name}". Its inputs: ${[...graph.inputs.keys()].join(", ")}.`,
      { name, graph: graph.name },
    );
  if (!isStatic(input.shape) || elementCount(input.shape) !== data.length)
    throw new GraphError(
      "shape-mismatch",
      `Initializer "${name}" has ${data.length} elements; the input's shape is ${formatShape(input.shape)}.`,
      { name, shape: input.shape, elements: data.length },
    );
  return { name, dataType: input.dataType, shape: input.shape, data };
}

function typeOf({ dataType, shape }: TensorType): TensorType {
  return { dataType, shape };
}

function valueInfo(name: string, { dataType, shape }: TensorType) {
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: {
        case: "tensorType",
        value: create(TypeProto_TensorSchema, {
          elemType: onnxDataType(dataType),
          shape: create(TensorShapeProtoSchema, {
            dim: shape.map((dimension) =>
              create(TensorShapeProto_DimensionSchema, {
                value:
                  typeof dimension === "number"
                    ? { case: "dimValue", value: BigInt(dimension) }
                    : { case: "dimParam", value: dimension },
              }),
            ),
          }),
        }),
      },
    }),
  });
}

function tensorProto({ name, dataType, shape, data }: OnnxTensor) {
  const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.length * bytesPerElement[dataType]);
  return create(TensorProtoSchema, {
    name,
    dataType: onnxDataType(dataType),
    dims: shape.map(BigInt),
    rawData: bytes,
  });
}

function nodeProto(node: OnnxNode) {
  return create(NodeProtoSchema, {
    name: node.name,
    opType: node.opType,
    domain: node.domain,
    input: [...node.inputs],
    output: [...node.outputs],
    attribute: Object.entries(node.attributes).map(([name, attribute]) => attributeProto(name, attribute)),
    metadataProps:
      node.backwardOf === undefined
        ? []
        : [create(StringStringEntryProtoSchema, { key: "gradbank.backward_of", value: node.backwardOf })],
  });
}

function attributeProto(name: string, attribute: OnnxAttribute) {
  switch (attribute.kind) {
    case "int":
      return create(AttributeProtoSchema, {
        name,
        type: AttributeProto_AttributeType.INT,
        i: BigInt(attribute.value),
      });
    case "ints":
      return create(AttributeProtoSchema, {
        name,
        type: AttributeProto_AttributeType.INTS,
        ints: attribute.value.map(BigInt),
      });
    case "float":
      return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.FLOAT, f: attribute.value });
    case "string":
      return create(AttributeProtoSchema, {
        name,
        type: AttributeProto_AttributeType.STRING,
        s: new TextEncoder().encode(attribute.value) as Uint8Array<ArrayBuffer>,
      });
  }
}
