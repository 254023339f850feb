import { ModelFolderError } from "../errors.ts";
import type { DropoutSite } from "./dropout.ts";

/** Activation functions of the feed-forward layers, by Hugging Face's names. */
export type Activation = "gelu" | "gelu_new" | "gelu_pytorch_tanh" | "relu" | "silu" | "swish";

const activations: readonly Activation[] = ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish"];

/** Names of the weights of one transformer block, without `.weight` and `.bias`. */
export interface BlockNames {
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly attentionOutput: string;
  readonly attentionNormalization: string;
  readonly intermediate: string;
  readonly output: string;
  readonly outputNormalization: string;
}

/**
 * An encoder of the BERT family: embeddings, then blocks of self-attention and feed-forward layers, each followed by a
 * residual addition and a layer normalisation (post-LN).
 */
export interface Architecture {
  /** `model_type` of config.json. */
  readonly modelType: string;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly activation: Activation;
  readonly layerNormEpsilon: number;
  readonly maximumPositions: number;
  readonly positions:
    | { readonly kind: "from-zero" }
    /** RoBERTa's and MPNet's: the running count of tokens that are not padding, plus the padding id. */
    | { readonly kind: "after-padding"; readonly paddingId: number };
  /** MPNet's bias on attention scores, one table for all blocks. */
  readonly relativePositions?: { readonly name: string; readonly buckets: number; readonly maximumDistance: number };
  readonly names: {
    readonly wordEmbeddings: string;
    readonly positionEmbeddings: string;
    /** Absent where the architecture has no token types. */
    readonly tokenTypeEmbeddings?: string;
    readonly embeddingNormalization: string;
    block(layer: number): BlockNames;
  };
  /** Every place of dropout in the order of computation. */
  readonly dropoutSites: readonly DropoutSite[];
}

type RawConfiguration = Readonly<Record<string, unknown>>;

const readers: Readonly<Record<string, (raw: RawConfiguration) => Architecture>> = {
  bert: (raw) => readBertFamily(raw, { kind: "from-zero" }),
  roberta: (raw) => readBertFamily(raw, { kind: "after-padding", paddingId: integer(raw, "pad_token_id", 1) }),
  "xlm-roberta": (raw) => readBertFamily(raw, { kind: "after-padding", paddingId: integer(raw, "pad_token_id", 1) }),
  mpnet: readMpnet,
  distilbert: readDistilbert,
};

/** `model_type`s that encoders are built for. */
export const supportedModelTypes: readonly string[] = Object.keys(readers);

/**
 * Reads the architecture from a raw config.json.
 * @throws ModelFolderError "unsupported-architecture" that names what was found and what is supported,
 * "invalid-configuration" for a missing or impossible field.
 */
export function readArchitecture(raw: RawConfiguration): Architecture {
  const modelType = raw.model_type;
  const reader = typeof modelType === "string" ? readers[modelType] : undefined;
  if (!reader)
    throw new ModelFolderError(
      "unsupported-architecture",
      `config.json has model_type ${JSON.stringify(modelType)}; supported are ${supportedModelTypes.join(", ")}.`,
      { modelType, supported: supportedModelTypes },
    );
  const architecture = reader(raw);
  if (architecture.hiddenSize % architecture.heads !== 0)
    throw new ModelFolderError(
      "invalid-configuration",
      `config.json: hidden size ${architecture.hiddenSize} is not a multiple of ${architecture.heads} attention heads.`,
      { hiddenSize: architecture.hiddenSize, heads: architecture.heads },
    );
  return architecture;
}

/** Fields that config.json of BERT, RoBERTa, XLM-RoBERTa and MPNet has under the same names. */
function readBertFields(
  raw: RawConfiguration,
): Omit<Architecture, "modelType" | "positions" | "relativePositions" | "names"> {
  const layers = integer(raw, "num_hidden_layers");
  return {
    hiddenSize: integer(raw, "hidden_size"),
    layers,
    heads: integer(raw, "num_attention_heads"),
    activation: activation(raw, "hidden_act"),
    layerNormEpsilon: number(raw, "layer_norm_eps", 1e-12),
    maximumPositions: integer(raw, "max_position_embeddings"),
    dropoutSites: dropoutSites(layers, {
      embeddings: number(raw, "hidden_dropout_prob", 0.1),
      attention: number(raw, "attention_probs_dropout_prob", 0.1),
      attention_output: number(raw, "hidden_dropout_prob", 0.1),
      output: number(raw, "hidden_dropout_prob", 0.1),
    }),
  };
}

function readBertFamily(raw: RawConfiguration, positions: Architecture["positions"]): Architecture {
  refuseUnless(raw, "position_embedding_type", ["absolute", undefined, null]);
  refuseUnless(raw, "is_decoder", [false, undefined, null]);
  return {
    modelType: raw.model_type as string,
    ...readBertFields(raw),
    positions,
    names: {
      wordEmbeddings: "embeddings.word_embeddings.weight",
      positionEmbeddings: "embeddings.position_embeddings.weight",
      tokenTypeEmbeddings: "embeddings.token_type_embeddings.weight",
      embeddingNormalization: "embeddings.LayerNorm",
      block: (layer) => ({
        query: `encoder.layer.${layer}.attention.self.query`,
        key: `encoder.layer.${layer}.attention.self.key`,
        value: `encoder.layer.${layer}.attention.self.value`,
        attentionOutput: `encoder.layer.${layer}.attention.output.dense`,
        attentionNormalization: `encoder.layer.${layer}.attention.output.LayerNorm`,
        intermediate: `encoder.layer.${layer}.intermediate.dense`,
        output: `encoder.layer.${layer}.output.dense`,
        outputNormalization: `encoder.layer.${layer}.output.LayerNorm`,
      }),
    },
  };
}

function readMpnet(raw: RawConfiguration): Architecture {
  return {
    modelType: "mpnet",
    ...readBertFields(raw),
    positions: { kind: "after-padding", paddingId: integer(raw, "pad_token_id", 1) },
    relativePositions: {
      name: "encoder.relative_attention_bias.weight",
      buckets: integer(raw, "relative_attention_num_buckets", 32),
      maximumDistance: 128,
    },
    names: {
      wordEmbeddings: "embeddings.word_embeddings.weight",
      positionEmbeddings: "embeddings.position_embeddings.weight",
      embeddingNormalization: "embeddings.LayerNorm",
      block: (layer) => ({
        query: `encoder.layer.${layer}.attention.attn.q`,
        key: `encoder.layer.${layer}.attention.attn.k`,
        value: `encoder.layer.${layer}.attention.attn.v`,
        attentionOutput: `encoder.layer.${layer}.attention.attn.o`,
        attentionNormalization: `encoder.layer.${layer}.attention.LayerNorm`,
        intermediate: `encoder.layer.${layer}.intermediate.dense`,
        output: `encoder.layer.${layer}.output.dense`,
        outputNormalization: `encoder.layer.${layer}.output.LayerNorm`,
      }),
    },
  };
}

function readDistilbert(raw: RawConfiguration): Architecture {
  const layers = integer(raw, "n_layers");
  return {
    modelType: "distilbert",
    hiddenSize: integer(raw, "dim"),
    layers,
    heads: integer(raw, "n_heads"),
    activation: activation(raw, "activation"),
    layerNormEpsilon: 1e-12,
    maximumPositions: integer(raw, "max_position_embeddings"),
    positions: { kind: "from-zero" },
    names: {
      wordEmbeddings: "embeddings.word_embeddings.weight",
      positionEmbeddings: "embeddings.position_embeddings.weight",
      embeddingNormalization: "embeddings.LayerNorm",
      block: (layer) => ({
        query: `transformer.layer.${layer}.attention.q_lin`,
        key: `transformer.layer.${layer}.attention.k_lin`,
        value: `transformer.layer.${layer}.attention.v_lin`,
        attentionOutput: `transformer.layer.${layer}.attention.out_lin`,
        attentionNormalization: `transformer.layer.${layer}.sa_layer_norm`,
        intermediate: `transformer.layer.${layer}.ffn.lin1`,
        output: `transformer.layer.${layer}.ffn.lin2`,
        outputNormalization: `transformer.layer.${layer}.output_layer_norm`,
      }),
    },
    dropoutSites: dropoutSites(layers, {
      embeddings: number(raw, "dropout", 0.1),
      attention: number(raw, "attention_dropout", 0.1),
      output: number(raw, "dropout", 0.1),
    }),
  };
}

type BlockSite = "attention" | "attention_output" | "output";

function dropoutSites(
  layers: number,
  rates: { embeddings: number } & Partial<Record<BlockSite, number>>,
): DropoutSite[] {
  const sites: DropoutSite[] = [{ name: "embeddings", rate: rates.embeddings, kind: "hidden" }];
  for (let layer = 0; layer < layers; layer++)
    for (const place of ["attention", "attention_output", "output"] as const)
      if (rates[place] !== undefined)
        sites.push({
          name: `layer${layer}.${place}`,
          rate: rates[place],
          kind: place === "attention" ? "attention" : "hidden",
        });
  return sites;
}

function number(raw: RawConfiguration, field: string, fallback?: number): number {
  const value = raw[field] ?? fallback;
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0)
    throw new ModelFolderError(
      "invalid-configuration",
      `config.json: "${field}" is ${JSON.stringify(raw[field])}; a number of at least 0 was expected.`,
      { field, value: raw[field] },
    );
  return value;
}

function integer(raw: RawConfiguration, field: string, fallback?: number): number {
  const value = number(raw, field, fallback);
  if (!Number.isInteger(value))
    throw new ModelFolderError(
      "invalid-configuration",
      `config.json: "${field}" is ${value}; a whole number was expected.`,
      { field, value },
    );
  return value;
}

function activation(raw: RawConfiguration, field: string): Activation {
  const value = (raw[field] ?? "gelu") as Activation;
  refuseUnless({ [field]: value }, field, activations);
  return value;
}

function refuseUnless(raw: RawConfiguration, field: string, allowed: readonly unknown[]): void {
  if (!allowed.includes(raw[field]))
    throw new ModelFolderError(
      "unsupported-configuration",
      `config.json: "${field}" is ${JSON.stringify(raw[field])}; supported: ${allowed
        .filter((value) => value !== undefined && value !== null)
        .map((value) => JSON.stringify(value))
        .join(", ")}.`,
      { field, value: raw[field] },
    );
}
