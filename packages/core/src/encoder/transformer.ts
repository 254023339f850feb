import {
  add,
  cast,
  cumulativeSum,
  divide,
  dropout,
  equal,
  expand,
  type Graph,
  gather,
  gelu,
  geluTanh,
  layerNormalization,
  less,
  linear,
  log,
  matmul,
  maximum,
  multiply,
  not,
  type Packing,
  pack,
  range,
  relu,
  reshape,
  silu,
  slice,
  softmax,
  subtract,
  transpose,
  unpack,
  type Value,
  where,
} from "@gradbank/graph";
import type { Activation, Architecture, BlockNames } from "./architecture.ts";

/**
 * What the forward pass of a transformer is built from. Symbols `rows` and `length` name its two dimensions.
 *
 * With `packing`, everything but attention works on the tokens alone, without padding.
 */
export interface TransformerInputs {
  /** int64 `[rows, length]`. */
  readonly inputIds: Value;
  /** int64 `[rows, length]`, 1 for tokens and 0 for padding. */
  readonly attentionMask: Value;
  /** int64 `[rows, length]`; absent: all tokens are of type 0. */
  readonly tokenTypeIds?: Value;
  /** Where the tokens lie among `rows*length` places; absent: padding is computed too. */
  readonly packing?: Packing & {
    /** int64 `[tokens]`: the ids of the tokens. */
    readonly tokenIds: Value;
  };
  /** A weight by its name in model.safetensors. */
  parameter(name: string): Value;
  /** The uint8 mask of a dropout site; absent: no dropout. */
  dropoutMask?(site: string): Value;
  /**
   * Is told the output of each linear layer, each normalisation and the embeddings' dropout, in the order of computation,
   * `[tokens, width]`, by the module's name: that of its weight without `.weight`, or `embeddings.dropout`.
   */
  observe?(module: string, output: Value): void;
}

/** Result of the forward pass. */
export interface TransformerOutputs {
  /** Last hidden state, `[rows*length, hiddenSize]`; zeros for padding if the tokens are packed. */
  readonly hidden: Value;
  /**
   * The word vectors as they were looked up, `[tokens, hiddenSize]`. Training differentiates with respect to
   * them: adding their gradient to the table's rows costs what the tokens cost, not what the vocabulary costs.
   */
  readonly wordVectors: Value;
}

/** Smallest float32: what padding gets added to its attention scores, as in transformers. */
const lowest = -3.4028234663852886e38;

/** Builds the forward pass of an encoder of the BERT family. */
export function buildTransformer(
  graph: Graph,
  architecture: Architecture,
  inputs: TransformerInputs,
): TransformerOutputs {
  const { names, layerNormEpsilon } = architecture;
  const [rows, length] = inputs.attentionMask.shape as [string, string];
  const places = `${rows}*${length}`;
  const { packing } = inputs;
  const toTokens = (x: Value) => (packing ? pack(x, packing) : x);
  const toPlaces = (x: Value) => (packing ? unpack(x, packing) : x);
  const rates = new Map(architecture.dropoutSites.map((site) => [site.name, site.rate]));
  const observed = (name: string, output: Value) => {
    inputs.observe?.(name, output);
    return output;
  };
  const context: BlockContext = {
    architecture,
    rows,
    length,
    toTokens,
    toPlaces,
    linear: (x, name) =>
      observed(name, linear(x, inputs.parameter(`${name}.weight`), inputs.parameter(`${name}.bias`))),
    normalize: (x, name) =>
      observed(
        name,
        layerNormalization(x, inputs.parameter(`${name}.weight`), inputs.parameter(`${name}.bias`), layerNormEpsilon),
      ),
    dropout: (x, site) => {
      const rate = rates.get(site);
      return inputs.dropoutMask && rate ? dropout(x, inputs.dropoutMask(site), rate) : x;
    },
    scoreBias: buildScoreBias(graph, architecture, inputs),
  };

  const { wordVectors, hidden: embedded } = graph.scope("embeddings", () => {
    const flat = (values: Value) => reshape(values, [places]);
    const lookUp = (name: string, indices: Value) => gather(inputs.parameter(name), indices);
    const positions = flat(buildPositions(graph, architecture, inputs));
    const wordVectors = lookUp(names.wordEmbeddings, packing?.tokenIds ?? flat(inputs.inputIds));
    // Only rows that texts of this length reach: what is left out needs no gradient.
    const positionTable = slice(inputs.parameter(names.positionEmbeddings), 0, 0, positionRows(architecture, length));
    let sum = add(wordVectors, gather(positionTable, packing ? gather(positions, packing.places) : positions));
    if (names.tokenTypeEmbeddings)
      sum = add(
        sum,
        inputs.tokenTypeIds
          ? lookUp(names.tokenTypeEmbeddings, flat(inputs.tokenTypeIds))
          : slice(inputs.parameter(names.tokenTypeEmbeddings), 0, 0, 1),
      );
    return {
      wordVectors,
      hidden: observed(
        "embeddings.dropout",
        context.dropout(context.normalize(sum, names.embeddingNormalization), "embeddings"),
      ),
    };
  });

  let hidden = embedded;
  for (let layer = 0; layer < architecture.layers; layer++) {
    hidden = graph.scope(`layer${layer}`, () =>
      buildBlock(hidden, `layer${layer}`, names.block(layer), context, graph),
    );
  }
  return { hidden: toPlaces(hidden), wordVectors };
}

interface BlockContext {
  readonly architecture: Architecture;
  readonly rows: string;
  readonly length: string;
  readonly scoreBias: Value;
  /** `[rows*length, width]` to `[tokens, width]`. */
  toTokens(x: Value): Value;
  /** `[tokens, width]` to `[rows*length, width]`. */
  toPlaces(x: Value): Value;
  linear(x: Value, name: string): Value;
  normalize(x: Value, name: string): Value;
  dropout(x: Value, site: string): Value;
}

function buildBlock(x: Value, site: string, names: BlockNames, context: BlockContext, graph: Graph): Value {
  const { hiddenSize, heads, activation } = context.architecture;
  const { rows, length } = context;
  const headSize = hiddenSize / heads;
  const attended = graph.scope("attention", () => {
    const split = (name: string) =>
      transpose(reshape(context.toPlaces(context.linear(x, name)), [rows, length, heads, headSize]), [0, 2, 1, 3]);
    const [query, key, value] = [split(names.query), split(names.key), split(names.value)];
    const scores = add(matmul(query, key, { transposeB: true, alpha: 1 / Math.sqrt(headSize) }), context.scoreBias);
    const weights = context.dropout(softmax(scores), `${site}.attention`);
    const mixed = context.toTokens(
      reshape(transpose(matmul(weights, value), [0, 2, 1, 3]), [`${rows}*${length}`, hiddenSize]),
    );
    const projected = context.dropout(context.linear(mixed, names.attentionOutput), `${site}.attention_output`);
    return context.normalize(add(projected, x), names.attentionNormalization);
  });
  return graph.scope("feed_forward", () => {
    const inner = activationFunctions[activation](context.linear(attended, names.intermediate));
    const outer = context.dropout(context.linear(inner, names.output), `${site}.output`);
    return context.normalize(add(outer, attended), names.outputNormalization);
  });
}

const activationFunctions: Readonly<Record<Activation, (x: Value) => Value>> = {
  gelu,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  relu,
  silu,
  swish: silu,
};

/** Rows of the position table that texts of a length can reach. */
function positionRows({ positions }: Architecture, length: string): string {
  return positions.kind === "from-zero" ? length : `${length}+${positions.paddingId + 1}`;
}

/** Position ids, `[rows, length]`. */
function buildPositions(
  graph: Graph,
  architecture: Architecture,
  { inputIds, attentionMask }: TransformerInputs,
): Value {
  if (architecture.positions.kind === "from-zero")
    return expand(range(graph, attentionMask.shape[1]!), attentionMask.shape);
  const { paddingId } = architecture.positions;
  const isToken = cast(not(equal(inputIds, paddingId)), "int64");
  return add(multiply(cumulativeSum(isToken, 1), isToken), paddingId);
}

/** What is added to every block's attention scores: padding is taken out, relative positions are brought in. */
function buildScoreBias(graph: Graph, architecture: Architecture, inputs: TransformerInputs): Value {
  return graph.scope("score_bias", () => {
    const [rows, length] = inputs.attentionMask.shape as [string, string];
    const isToken = reshape(equal(inputs.attentionMask, 1), [rows, 1, 1, length]);
    const padding = where(isToken, graph.scalar("float32", 0), lowest);
    const { relativePositions } = architecture;
    if (!relativePositions) return padding;
    const buckets = relativePositionBuckets(graph, length, relativePositions);
    const bias = transpose(gather(inputs.parameter(relativePositions.name), buckets), [2, 0, 1]);
    return add(reshape(bias, [1, architecture.heads, length, length]), padding);
  });
}

/**
 * Bucket of each key's distance from each query, `[length, length]`: half of the buckets for keys behind, half for
 * keys ahead; small distances have buckets of their own, larger ones share them on a logarithmic scale (Raffel et al.,
 * arXiv 1910.10683, as MPNet uses it).
 */
function relativePositionBuckets(
  graph: Graph,
  length: string,
  { buckets, maximumDistance }: { buckets: number; maximumDistance: number },
): Value {
  const perSide = Math.floor(buckets / 2);
  const exact = Math.floor(perSide / 2);
  const position = range(graph, length);
  const behind = subtract(reshape(position, [length, 1]), reshape(position, [1, length]));
  const isAhead = less(behind, 0);
  const distance = where(isAhead, subtract(0, behind), behind);
  // The logarithm of 0 is never used, but must not be taken.
  const real = maximum(cast(distance, "float32"), 1);
  const scaled = multiply(divide(log(divide(real, exact)), Math.log(maximumDistance / exact)), perSide - exact);
  const logarithmic = add(cast(maximum(scaled, 0), "int64"), exact);
  const shared = where(less(logarithmic, perSide), logarithmic, perSide - 1);
  return add(where(less(distance, exact), distance, shared), multiply(cast(isAhead, "int64"), perSide));
}
