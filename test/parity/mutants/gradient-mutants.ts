import type { Tensor } from "@gradbank/core";
import { type Graph, multiply } from "@gradbank/graph";
import type { RuntimeFaults } from "./faulty-runtime.ts";
import { changeScalar, replaceOutput } from "./graph-surgery.ts";
import { intercept } from "./intercept.ts";
import { zeros } from "./loss-mutants.ts";
import type { Mutant, Seams } from "./mutant.ts";

/** Changes the backward pass, and only that. */
function backward(graph: (graph: Graph) => void): () => Seams {
  return () => ({ runtime: { programs: /^encode_backward$/, graph } });
}

/** Changes gradients of weights as the program gives them. */
function gradientOutputs(outputs: NonNullable<RuntimeFaults["outputs"]>): () => Seams {
  return () => ({ runtime: { programs: /^encode_backward$/, outputs } });
}

export function scaled({ data, ...type }: Tensor, factor: number): Tensor {
  return { ...type, data: (data as Float32Array).map((value) => value * factor) };
}

/** One gradient, by the name of its parameter, times a factor. */
export function scaledGradient(parameter: string, factor: number): () => Seams {
  const output = `gradient/${parameter}`;
  return gradientOutputs((outputs) => ({ ...outputs, [output]: scaled(outputs[output]!, factor) }));
}

/** Changes a parameter's gradient after each batch. */
export function afterBackward(parameter: string, change: (gradient: Float32Array) => void): Seams {
  return {
    loss: (loss) => {
      intercept(loss, "forwardBackward", (forwardBackward) => async (encoder, batch, options) => {
        const value = await forwardBackward(encoder, batch, options);
        change(encoder.parameters.gradient(parameter));
        return value;
      });
      return loss;
    },
  };
}

/** Makes one element wrong by so many root mean squares of the tensor. */
export function shiftElement(gradient: Float32Array, index: number, error: number): void {
  gradient[index]! += error * Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0) / gradient.length);
}

const query = "gradient/encoder.layer.0.attention.self.query.weight";
const key = "gradient/encoder.layer.0.attention.self.key.weight";
const twoBatches = { gradientAccumulationSteps: 2 };

/** Bugs of the backward pass through the encoder, and of accumulation. */
export const gradientMutants: readonly Mutant[] = [
  {
    name: "gelu-backward",
    what: "The derivative of GELU lacks the term x times the density.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: backward((graph) =>
      replaceOutput(graph, /^backward\/encoder\/layer0\/feed_forward\/gelu\/add_2$/, ({ inputs }) =>
        multiply(inputs[0]!, 1),
      ),
    ),
  },
  {
    name: "softmax-backward",
    what: "The derivative of the softmax lacks its second term.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: backward((graph) =>
      replaceOutput(graph, /^backward\/encoder\/layer0\/attention\/softmax\/subtract$/, ({ inputs }) =>
        multiply(inputs[0]!, 1),
      ),
    ),
  },
  {
    name: "layer-norm-backward-mean",
    what: "The derivative of a layer normalisation lacks the mean's term.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: backward((graph) =>
      replaceOutput(graph, /^backward\/encoder\/embeddings\/layerNormalization\/subtract_2$/, ({ inputs }) =>
        multiply(inputs[0]!, 1),
      ),
    ),
  },
  {
    name: "layer-norm-backward-variance",
    what: "The derivative of a layer normalisation lacks the variance's term.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: backward((graph) =>
      replaceOutput(graph, /^backward\/encoder\/embeddings\/layerNormalization\/subtract_3$/, ({ inputs }) =>
        multiply(inputs[0]!, 1),
      ),
    ),
  },
  {
    name: "attention-scale-backward",
    what: "The gradient of attention scores is not divided by the square root of the head's size on its way to the keys.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: backward((graph) =>
      replaceOutput(graph, /^backward\/encoder\/layer0\/attention\/matmul\/matmul_2$/, ({ outputs }) =>
        multiply(outputs[0]!, Math.sqrt(8)),
      ),
    ),
  },
  {
    name: "residual-gradient-missing",
    what: "The first block's residual connection passes no gradient.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: backward((graph) =>
      replaceOutput(graph, /^backward\/encoder\/embeddings\/layerNormalization\/add$/, ({ inputs }) =>
        multiply(inputs[1]!, 1),
      ),
    ),
  },
  {
    name: "dropout-backward",
    what: "Gradients pass a dropout as if it had kept everything.",
    overrides: { dropout: true },
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: backward((graph) =>
      replaceOutput(graph, /^backward\/encoder\/layer0\/feed_forward\/dropout\/dropout$/, ({ inputs }) =>
        multiply(inputs[0]!, 1),
      ),
    ),
  },
  {
    name: "pooling-backward",
    what: "The gradient of mean pooling is not divided by the number of tokens.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: backward((graph) =>
      replaceOutput(graph, /^backward\/encoder\/pooling\/divide\/divide$/, ({ inputs }) => multiply(inputs[0]!, 1)),
    ),
  },
  {
    name: "bias-gradient-averaged",
    what: "The gradient of a bias is the mean over tokens instead of the sum.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: gradientOutputs((outputs, { token_ids: tokens }) => {
      const name = "gradient/encoder.layer.0.attention.self.value.bias";
      return { ...outputs, [name]: scaled(outputs[name]!, 1 / tokens!.data.length) };
    }),
  },
  {
    name: "weight-gradient-transposed",
    what: "The gradient of a square matrix is transposed.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: gradientOutputs((outputs) => {
      const { data, ...type } = outputs[query]!;
      const [rows, width] = type.shape as [number, number];
      return {
        ...outputs,
        [query]: {
          ...type,
          data: Float32Array.from({ length: rows * width }, (_, index) =>
            Number(data[(index % width) * width + Math.floor(index / width)]),
          ),
        },
      };
    }),
  },
  {
    name: "query-and-key-gradients-swapped",
    what: "The gradients of a block's query and key weights are swapped.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: gradientOutputs((outputs) => ({ ...outputs, [query]: outputs[key]!, [key]: outputs[query]! })),
  },
  {
    name: "layer-gradient-missing",
    what: "The first layer's weights get no gradient.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: gradientOutputs((outputs) =>
      Object.fromEntries(
        Object.entries(outputs).map(([name, tensor]) => [
          name,
          name.startsWith("gradient/encoder.layer.0.") ? zeros(tensor) : tensor,
        ]),
      ),
    ),
  },
  {
    name: "parameter-gradient-doubled",
    what: "The gradient of one bias is doubled.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: scaledGradient("encoder.layer.1.output.dense.bias", 2),
  },
  {
    name: "weight-gradient-slightly-off",
    what: "The gradient of one weight matrix is 1e-5 of itself too large.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: scaledGradient("encoder.layer.0.intermediate.dense.weight", 1 + 1e-5),
  },
  {
    name: "weight-gradient-not-a-number",
    what: "One element of one gradient is NaN.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: gradientOutputs((outputs) => {
      const data = (outputs[query]!.data as Float32Array).slice();
      data[5] = Number.NaN;
      return { ...outputs, [query]: { ...outputs[query]!, data } };
    }),
  },
  {
    name: "word-gradients-overwritten",
    what: "Gradients of a word that occurs twice overwrite each other instead of adding up.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: () => ({
      encoder: ({ parameters }) =>
        intercept(parameters, "addRowGradients", () => (name, indices, rows) => {
          const gradient = parameters.gradient(name);
          const width = parameters.get(name).shape[1]!;
          for (let row = 0; row < indices.length; row++)
            gradient.set(rows.subarray(row * width, (row + 1) * width), Number(indices[row]) * width);
        }),
    }),
  },
  {
    name: "key-bias-gradient",
    what: "The keys' biases get a gradient of 1e-4 of their layer's, where it is zero but for rounding.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: () => ({
      encoder: ({ programs, parameters }) =>
        intercept(programs, "accumulateGradients", (accumulate) => (outputs, columns) => {
          accumulate(outputs, columns);
          const value = parameters.gradient("encoder.layer.0.attention.self.value.weight");
          const scale = Math.sqrt(value.reduce((sum, number) => sum + number * number, 0) / value.length);
          const bias = parameters.gradient("encoder.layer.0.attention.self.key.bias");
          for (let index = 0; index < bias.length; index++) bias[index]! += 1e-4 * scale;
        }),
    }),
  },
  {
    name: "last-mini-batch-lost",
    what: "The last, short mini-batch adds nothing to the gradients.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: () => ({
      encoder: ({ programs }) =>
        intercept(
          programs,
          "embedBackward",
          (embedBackward) => (column, gradient) =>
            embedBackward(column, column.rows.length < 3 ? new Float32Array(gradient.length) : gradient),
        ),
    }),
  },
  {
    name: "row-gradients-swapped",
    what: "Two rows of a mini-batch get each other's gradient.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: () => ({
      encoder: ({ programs, dimension }) =>
        intercept(
          programs,
          "embedBackward",
          (embedBackward) => (column, gradient) =>
            embedBackward(
              column,
              Float32Array.of(
                ...gradient.subarray(dimension, 2 * dimension),
                ...gradient.subarray(0, dimension),
                ...gradient.subarray(2 * dimension),
              ),
            ),
        ),
    }),
  },
  {
    name: "column-not-differentiated",
    what: "Documents are encoded a second time, but only queries change the gradients.",
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: () => ({
      encoder: ({ programs }) =>
        intercept(
          programs,
          "embedBackward",
          (embedBackward) => (column, gradient) =>
            embedBackward(column, column.column === 0 ? gradient : new Float32Array(gradient.length)),
        ),
    }),
  },
  {
    name: "accumulation-not-averaged",
    what: "Gradients of an accumulation group are added instead of averaged.",
    overrides: twoBatches,
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: () => ({
      loss: (loss) => {
        intercept(
          loss,
          "forwardBackward",
          (forwardBackward) => (encoder, batch, options) =>
            forwardBackward(encoder, batch, { ...options, gradientScale: 1 }),
        );
        return loss;
      },
    }),
  },
  {
    name: "accumulation-keeps-the-last",
    what: "Only the last batch of an accumulation group leaves gradients.",
    overrides: twoBatches,
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: () => ({
      loss: (loss) => {
        intercept(loss, "forwardBackward", (forwardBackward) => (encoder, batch, options) => {
          encoder.parameters.zeroGradients();
          return forwardBackward(encoder, batch, options);
        });
        return loss;
      },
    }),
  },
  {
    name: "gradients-not-zeroed",
    what: "Gradients are not set to zero between steps.",
    stages: ["parameter-gradients"],
    effectStep: 2,
    seams: () => ({ encoder: ({ parameters }) => intercept(parameters, "zeroGradients", () => () => {}) }),
  },
  {
    name: "evaluation-changes-a-weight",
    what: "Evaluation leaves one weight 1e-3 of itself larger.",
    stages: ["embeddings"],
    effectStep: 2,
    module: "encoder.layer.0.attention.self.query",
    seams: () => ({
      loss: (loss) => {
        intercept(loss, "evaluate", (evaluate) => (encoder, batch) => {
          const { data } = encoder.parameters.get("encoder.layer.0.attention.self.query.weight");
          data[0]! *= 1.001;
          return evaluate(encoder, batch);
        });
        return loss;
      },
    }),
  },
  {
    name: "one-program-word-gradients",
    what: "Without GradCache: word vectors of the second column get no gradient.",
    overrides: { loss: { class: "MultipleNegativesRankingLoss" } },
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: () => ({
      encoder: ({ programs }) =>
        intercept(
          programs,
          "accumulateGradients",
          (accumulate) => (outputs, columns) => accumulate(outputs, columns.slice(0, 1)),
        ),
    }),
  },
  {
    name: "one-program-gelu-backward",
    what: "Without GradCache: one column's GELU is differentiated with 0.499 for 0.5.",
    overrides: { loss: { class: "MultipleNegativesRankingLoss" } },
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: () => ({
      runtime: {
        programs: /^multiple_negatives_ranking$/,
        graph: (graph) => changeScalar(graph, /^backward\/column1\/layer0\/feed_forward\/gelu\/add$/, 0.5, 0.499),
      },
    }),
  },
  {
    name: "large-matrix-element",
    what: "all-MiniLM-L6-v2: one element of 589,824 in a gradient that is compared by its sketch is off by the gradient's root mean square.",
    overrides: { model: "all-MiniLM-L6-v2", batchSize: 4, steps: 1 },
    stages: ["parameter-gradients"],
    effectStep: 1,
    seams: () =>
      afterBackward("encoder.layer.3.intermediate.dense.weight", (gradient) => shiftElement(gradient, 123_456, 1)),
  },
];
