import {
  add,
  cast,
  cumulativeSum,
  type Graph,
  geluTanh,
  less,
  multiply,
  reduceSum,
  reshape,
  subtract,
  where,
} from "@gradbank/graph";
import { changeAttributes, changeInputs, changeScalar, replaceOutput } from "./graph-surgery.ts";
import { intercept } from "./intercept.ts";
import type { Mutant, Seams } from "./mutant.ts";

/** Changes the encoder's forward pass wherever it is computed. */
function forward(graph: (graph: Graph) => void): () => Seams {
  return () => ({ runtime: { programs: /^(encode|encode_backward|activations)$/, graph } });
}

/** Bugs of the forward pass: all show in the embeddings. */
export const encoderMutants: readonly Mutant[] = [
  {
    name: "layer-norm-epsilon",
    what: "Layer normalisations use epsilon 1e-5 instead of 1e-12.",
    stages: ["embeddings"],
    effectStep: 1,
    module: "embeddings.LayerNorm",
    seams: forward((graph) => changeAttributes(graph, /^encoder\/.*layerNormalization$/, { epsilon: 1e-5 })),
  },
  {
    name: "layer-norm-epsilon-of-one",
    what: "One normalisation, the last one's, uses epsilon 1e-4 instead of 1e-12.",
    stages: ["embeddings"],
    effectStep: 1,
    module: "encoder.layer.1.output.LayerNorm",
    seams: forward((graph) =>
      changeAttributes(graph, /^encoder\/layer1\/feed_forward\/layerNormalization$/, { epsilon: 1e-4 }),
    ),
  },
  {
    name: "gelu-tanh",
    what: "GELU in the tanh approximation instead of the exact one.",
    stages: ["embeddings"],
    effectStep: 1,
    module: "encoder.layer.0.output.dense",
    seams: forward((graph) =>
      replaceOutput(graph, /^encoder\/layer\d\/feed_forward\/gelu$/, ({ inputs }) => geluTanh(inputs[0]!)),
    ),
  },
  {
    name: "attention-scale",
    what: "Attention scores are divided by the head's size, not by its square root.",
    stages: ["embeddings"],
    effectStep: 1,
    module: "encoder.layer.0.attention.output.dense",
    seams: forward((graph) => changeAttributes(graph, /^encoder\/layer\d\/attention\/matmul$/, { alpha: 1 / 8 })),
  },
  {
    name: "attention-softmax-axis",
    what: "The softmax of attention runs over queries instead of keys.",
    stages: ["embeddings"],
    effectStep: 1,
    module: "encoder.layer.0.attention.output.dense",
    seams: forward((graph) => changeAttributes(graph, /^encoder\/layer\d\/attention\/softmax$/, { axis: 2 })),
  },
  {
    name: "attention-mask-off-by-one",
    what: "The attention mask ends one token too early: nobody sees a text's last token.",
    stages: ["embeddings"],
    effectStep: 1,
    module: "encoder.layer.0.attention.output.dense",
    seams: forward((graph) =>
      replaceOutput(graph, /^encoder\/score_bias\/equal$/, ({ inputs }) => {
        const mask = cast(inputs[0]!, "float32");
        return less(cumulativeSum(mask, 1), reduceSum(mask, { axes: [1], keepDimensions: true }));
      }),
    ),
  },
  {
    name: "padding-attended",
    what: "Padding takes part in attention.",
    stages: ["embeddings"],
    effectStep: 1,
    module: "encoder.layer.0.attention.output.dense",
    seams: forward((graph) => changeScalar(graph, /^encoder\/score_bias\/where$/, -3.4028234663852886e38, 0)),
  },
  {
    name: "padding-attended-a-little",
    what: "Padding gets -10 added to its attention scores, not the smallest number: it keeps a trace of weight.",
    stages: ["embeddings"],
    effectStep: 1,
    module: "encoder.layer.0.attention.output.dense",
    seams: forward((graph) => changeScalar(graph, /^encoder\/score_bias\/where$/, -3.4028234663852886e38, -10)),
  },
  {
    name: "position-ids-shifted",
    what: "Position ids begin with 0, 0, 1 instead of 0, 1, 2.",
    stages: ["embeddings"],
    effectStep: 1,
    module: "embeddings.LayerNorm",
    seams: forward((graph) =>
      replaceOutput(graph, /^encoder\/embeddings\/range$/, ({ outputs: [ids] }) =>
        where(less(ids!, 1), ids!, subtract(ids!, 1)),
      ),
    ),
  },
  {
    name: "roberta-position-ids",
    what: "RoBERTa's position ids begin with 1 instead of behind the padding id.",
    overrides: { model: { architecture: "roberta" } },
    stages: ["embeddings"],
    effectStep: 1,
    module: "embeddings.LayerNorm",
    seams: forward((graph) =>
      replaceOutput(graph, /^encoder\/embeddings\/gather_2$/, ({ outputs }) => subtract(outputs[0]!, 1)),
    ),
  },
  {
    name: "mpnet-relative-position-sign",
    what: "MPNet's table of relative positions is read with keys behind taken for keys ahead.",
    overrides: { model: { architecture: "mpnet" } },
    stages: ["embeddings"],
    effectStep: 1,
    module: "encoder.layer.0.attention.attn.o",
    seams: forward((graph) =>
      changeInputs(graph, /^encoder\/score_bias\/subtract$/, ([left, right]) => [right!, left!]),
    ),
  },
  {
    name: "token-type",
    what: "All tokens are of type 1 instead of 0.",
    stages: ["embeddings"],
    effectStep: 1,
    module: "embeddings.LayerNorm",
    seams: forward((graph) => changeAttributes(graph, /^encoder\/embeddings\/slice_2$/, { start: 1, end: 2 })),
  },
  {
    name: "residual-missing",
    what: "The second layer's feed-forward block has no residual connection.",
    stages: ["embeddings"],
    effectStep: 1,
    module: "encoder.layer.1.output.LayerNorm",
    seams: forward((graph) =>
      replaceOutput(graph, /^encoder\/layer1\/feed_forward\/add$/, ({ inputs }) => multiply(inputs[0]!, 1)),
    ),
  },
  {
    name: "heads-mixed-up",
    what: "Values are cut into heads across tokens: the axes are swapped by a reshape, not by a transposition.",
    stages: ["embeddings"],
    effectStep: 1,
    module: "encoder.layer.0.attention.output.dense",
    seams: forward((graph) =>
      replaceOutput(graph, /^encoder\/layer0\/attention\/transpose_3$/, ({ inputs, outputs }) =>
        reshape(inputs[0]!, outputs[0]!.shape),
      ),
    ),
  },
  {
    name: "pooling-divides-by-padded-length",
    what: "Mean pooling divides by the padded length instead of the number of tokens.",
    stages: ["embeddings"],
    effectStep: 1,
    module: "pooling",
    seams: forward((graph) =>
      replaceOutput(graph, /^encoder\/pooling\/reduceSum$/, ({ inputs }) =>
        reduceSum(add(multiply(inputs[0]!, 0), 1), { axes: [1], keepDimensions: true }),
      ),
    ),
  },
  {
    name: "embeddings-in-half-precision",
    what: "Embeddings are rounded to float16 on their way.",
    stages: ["embeddings"],
    effectStep: 1,
    module: "pooling",
    seams: forward((graph) =>
      replaceOutput(graph, /^encoder\/pooling\/reshape_3$/, ({ outputs }) =>
        cast(cast(outputs[0]!, "float16"), "float32"),
      ),
    ),
  },
  {
    name: "rows-in-order-of-length",
    what: "Two rows of a mini-batch stay in the order of their lengths instead of going back to their places.",
    stages: ["embeddings"],
    effectStep: 1,
    seams: () => ({
      encoder: ({ programs, dimension }) =>
        intercept(programs, "embed", (embed) => async (column) => {
          const rows = await embed(column);
          if (column.rows.length < 2) return rows;
          return Float32Array.of(
            ...rows.subarray(dimension, 2 * dimension),
            ...rows.subarray(0, dimension),
            ...rows.subarray(2 * dimension),
          );
        }),
    }),
  },
  {
    name: "last-mini-batch-not-encoded",
    what: "The last, short mini-batch is not encoded: its rows stay zero.",
    stages: ["embeddings"],
    effectStep: 1,
    seams: () => ({
      encoder: ({ programs }) =>
        intercept(programs, "embed", (embed) => async (column) => {
          const rows = await embed(column);
          return column.rows.length < 3 ? rows.fill(0) : rows;
        }),
    }),
  },
  {
    name: "dropout-not-scaled",
    what: "What dropout keeps is not divided by 1 - p.",
    overrides: { dropout: true },
    stages: ["embeddings"],
    effectStep: 1,
    module: "embeddings.dropout",
    seams: forward((graph) => changeAttributes(graph, /dropout$/, { rate: 0 })),
  },
  {
    name: "dropout-same-in-all-columns",
    what: "All columns of a batch draw the same dropout masks.",
    overrides: { dropout: true },
    stages: ["embeddings"],
    effectStep: 1,
    module: "embeddings.dropout",
    seams: () => ({
      encoder: ({ programs }) =>
        intercept(
          programs,
          "columnInputs",
          (columnInputs) => (prefix, column) => columnInputs(prefix, { ...column, column: 0 }),
        ),
    }),
  },
  {
    name: "dropout-of-attention-missing",
    what: "There is no dropout of attention weights.",
    overrides: { dropout: true },
    stages: ["embeddings"],
    effectStep: 1,
    module: "encoder.layer.0.attention.output.dense",
    seams: forward((graph) =>
      replaceOutput(graph, /^encoder\/layer\d\/attention\/dropout$/, ({ inputs }) => multiply(inputs[0]!, 1)),
    ),
  },
  {
    name: "dropout-not-replayed",
    what: "GradCache's second pass draws dropout masks of its own.",
    overrides: { dropout: true },
    stages: ["replayed-embeddings"],
    effectStep: 1,
    seams: () => ({
      encoder: ({ programs }) =>
        intercept(
          programs,
          "embedBackward",
          (embedBackward) => (column, gradient) =>
            embedBackward(
              { ...column, dropout: { seed: column.dropout!.seed, step: column.dropout!.step + 1000 } },
              gradient,
            ),
        ),
    }),
  },
  {
    name: "dropout-off-in-second-pass",
    what: "GradCache's second pass runs without dropout.",
    overrides: { dropout: true },
    stages: ["replayed-embeddings"],
    effectStep: 1,
    seams: () => ({
      encoder: ({ programs }) =>
        intercept(
          programs,
          "embedBackward",
          (embedBackward) => (column, gradient) => embedBackward({ ...column, dropout: undefined }, gradient),
        ),
    }),
  },
];
