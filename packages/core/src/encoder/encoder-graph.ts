import {
  cumulativeSum,
  type DifferentiationTarget,
  equal,
  type Graph,
  gradients,
  l2Normalize,
  type Packing,
  reshape,
  subtract,
  type Value,
} from "@gradbank/graph";
import type { PoolingMode } from "../model-folder/read-model-folder.ts";
import type { Architecture } from "./architecture.ts";
import type { Parameters } from "./parameters.ts";
import { buildPooling } from "./pooling.ts";
import { buildTransformer } from "./transformer.ts";

/** The modules of a sentence encoder: a transformer, pooling and, if the folder says so, normalisation. */
export interface EncoderModules {
  readonly architecture: Architecture;
  readonly parameters: Parameters;
  readonly pooling: PoolingMode;
  readonly normalize: boolean;
}

/** One column's texts inside a graph. */
export interface EncodedColumn {
  /** `[rows, dimension]`. */
  readonly embeddings: Value;
  /** See TransformerOutputs. */
  readonly wordVectors: Value;
}

export interface EncodeColumnOptions {
  /** Beginning of the names of the column's inputs; empty where the graph has one column. */
  readonly prefix: string;
  /** Ask for dropout masks as inputs `<prefix>dropout/<site>`. */
  readonly dropout: boolean;
  /** See TransformerInputs. */
  readonly observe?: (module: string, output: Value) => void;
}

/**
 * Adds to a graph the encoding of one column, with inputs `<prefix>input_ids`, `<prefix>attention_mask`,
 * `<prefix>token_ids` and `<prefix>token_places`. Called several times in one graph, the columns share the weights.
 */
export function buildColumn(graph: Graph, modules: EncoderModules, options: EncodeColumnOptions): EncodedColumn {
  const { architecture } = modules;
  const { prefix } = options;
  // The columns of a batch have the same rows, and each its own length.
  const [rows, length] = ["rows", prefix ? `${prefix.replace(/\W/g, "_")}length` : "length"];
  const tokens = prefix ? `${prefix.replace(/\W/g, "_")}tokens` : "tokens";
  const inputIds = graph.input(`${prefix}input_ids`, "int64", [rows, length]);
  const attentionMask = graph.input(`${prefix}attention_mask`, "int64", [rows, length]);
  const sites = new Map(architecture.dropoutSites.map((site) => [site.name, site]));
  const dropoutMask = (site: string) =>
    graph.input(
      `${prefix}dropout/${site}`,
      "uint8",
      sites.get(site)!.kind === "hidden"
        ? [tokens, architecture.hiddenSize]
        : [rows, architecture.heads, length, length],
    );
  return graph.scope(prefix ? prefix.replace(/\/$/, "") : "encoder", () => {
    const { hidden, wordVectors } = buildTransformer(graph, architecture, {
      inputIds,
      attentionMask,
      packing: {
        tokenIds: graph.input(`${prefix}token_ids`, "int64", [tokens]),
        places: graph.input(`${prefix}token_places`, "int64", [tokens]),
        ...declarePadding(attentionMask),
      },
      parameter: (name) => parameterInput(graph, modules.parameters, name),
      ...(options.dropout ? { dropoutMask } : {}),
      ...(options.observe ? { observe: options.observe } : {}),
    });
    const pooled = graph.scope("pooling", () => buildPooling(modules.pooling, hidden, attentionMask));
    return {
      embeddings: modules.normalize ? graph.scope("normalize", () => l2Normalize(pooled)) : pooled,
      wordVectors,
    };
  });
}

/** Which token stands at each place, and whether one does. */
function declarePadding(attentionMask: Value): Omit<Packing, "places"> {
  const [rows, length] = attentionMask.shape as [string, string];
  const flat = reshape(attentionMask, [`${rows}*${length}`]);
  return {
    // The number of tokens up to a place: for padding that is the token before it, which every row begins with.
    origins: subtract(cumulativeSum(flat, 0), 1),
    isFilled: reshape(equal(flat, 1), [`${rows}*${length}`, 1]),
  };
}

/** The graph's input for a weight; declared when first asked for. */
export function parameterInput(graph: Graph, parameters: Parameters, name: string): Value {
  return graph.inputs.get(name) ?? graph.input(name, "float32", parameters.get(name).shape);
}

/** Names of a program's outputs that hold gradients of the model. */
export const gradientOutputs = {
  parameter: (name: string) => `gradient/${name}`,
  wordVectors: (prefix: string) => `${prefix}gradient/word_vectors`,
};

/**
 * Appends the backward pass: gradients of every weight that the graph uses, but for the table of word vectors, whose
 * gradient is given by the rows looked up in each column.
 * @param seeds values with the gradients that arrive at them.
 * @returns outputs by the names of `gradientOutputs`.
 */
export function buildParameterGradients(
  graph: Graph,
  modules: EncoderModules,
  seeds: readonly DifferentiationTarget[],
  columns: readonly { prefix: string; wordVectors: Value }[],
): Record<string, Value> {
  const table = modules.architecture.names.wordEmbeddings;
  const weights = [...graph.inputs.values()].filter(
    (input) => modules.parameters.has(input.name) && input.name !== table,
  );
  const results = gradients(seeds, [...weights, ...columns.map((column) => column.wordVectors)]);
  return Object.fromEntries(
    results.map((gradient, index) =>
      index < weights.length
        ? [gradientOutputs.parameter(weights[index]!.name), gradient]
        : [gradientOutputs.wordVectors(columns[index - weights.length]!.prefix), gradient],
    ),
  );
}
