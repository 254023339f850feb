import { Graph, reshape, serializeGraph } from "@gradbank/graph";
import { type EncoderModules, parameterInput } from "./encoder-graph.ts";
import { buildTransformer } from "./transformer.ts";

/**
 * The transformer as a self-contained ONNX model with the inputs and the output that transformers.js's
 * feature-extraction pipeline expects: `input_ids`, `attention_mask` (and `token_type_ids` where the architecture has token
 * types), int64 `[batch_size, sequence_length]`, to `last_hidden_state`. Pooling is left to the pipeline.
 */
export function exportOnnx({ architecture, parameters }: EncoderModules): Uint8Array<ArrayBuffer> {
  const graph = new Graph(architecture.modelType);
  const shape = ["batch_size", "sequence_length"];
  const inputIds = graph.input("input_ids", "int64", shape);
  const attentionMask = graph.input("attention_mask", "int64", shape);
  const { hidden } = buildTransformer(graph, architecture, {
    inputIds,
    attentionMask,
    ...(architecture.names.tokenTypeEmbeddings ? { tokenTypeIds: graph.input("token_type_ids", "int64", shape) } : {}),
    parameter: (name) => parameterInput(graph, parameters, name),
  });
  const stored = [...parameters].filter(({ name }) => graph.inputs.has(name));
  return serializeGraph(graph, {
    outputs: { last_hidden_state: reshape(hidden, [...shape, architecture.hiddenSize]) },
    initializers: new Map(stored.map(({ name, data }) => [name, data])),
    description: `${architecture.modelType} encoder, exported by gradbank`,
  }).bytes;
}
