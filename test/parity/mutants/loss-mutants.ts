import type { Tensor } from "@gradbank/core";
import type { Graph } from "@gradbank/graph";
import { multiply } from "@gradbank/graph";
import { createCaseLoss } from "../../../packages/bridge/src/suite/case-loss.ts";
import type { CaseLoss } from "../../../packages/bridge/src/suite/resolved-case.ts";
import type { CaseOverrides } from "./gallery-case.ts";
import { changeInputs, changeScalar, replaceOutput } from "./graph-surgery.ts";
import { intercept } from "./intercept.ts";
import type { Mutant, Seams } from "./mutant.ts";

/** The loss with other options, which says that it has the right ones. */
export function disguised(changes: Partial<CaseLoss>): () => Seams {
  return () => ({
    loss: (right, settings) => {
      const loss = createCaseLoss({ ...settings.loss, ...changes });
      Object.defineProperty(loss, "configuration", { value: right.configuration });
      return loss;
    },
  });
}

/** Changes logits wherever they are computed. */
function logits(graph: (graph: Graph) => void): () => Seams {
  return () => ({ runtime: { programs: /^(batch_rows|cached_rows|bank_partitions|ranking_scores)$/, graph } });
}

/** Changes what the loss's programs give for gradients. */
function outputs(programs: RegExp, change: (outputs: Record<string, Tensor>) => Record<string, Tensor>): () => Seams {
  return () => ({ runtime: { programs, outputs: change } });
}

export function zeros({ data, ...type }: Tensor): Tensor {
  return { ...type, data: new Float32Array(data.length) };
}

const triplets: CaseOverrides = { columns: 4 };
const bothDirections: CaseOverrides = {
  loss: { directions: ["query_to_doc", "doc_to_query"], partitionMode: "per_direction", miniBatchSize: 8 },
};

/** Bugs between the embeddings and the loss, and on the way back. */
export const lossMutants: readonly Mutant[] = [
  {
    name: "scale",
    what: "Similarities are multiplied by 20.001 instead of 20.",
    stages: ["scores"],
    effectStep: 1,
    seams: disguised({ scale: 20.001 }),
  },
  {
    name: "cosine-without-normalisation",
    what: "Embeddings are not normalised before they are compared.",
    stages: ["scores"],
    effectStep: 1,
    seams: () => ({
      runtime: {
        programs: /^normalize$/,
        outputs: (_, { embeddings }) => ({ vectors: embeddings! }),
      },
    }),
  },
  {
    name: "directions-transposed",
    what: "The scores of documents against queries are those of queries against documents.",
    overrides: bothDirections,
    stages: ["scores"],
    effectStep: 1,
    seams: logits((graph) => changeInputs(graph, /^doc_to_query\/matmul$/, ([left, right]) => [right!, left!])),
  },
  {
    name: "direction-forgotten",
    what: "Queries are not compared with other queries, although that direction is asked for.",
    overrides: { loss: { directions: ["query_to_doc", "query_to_query"] } },
    stages: ["scores"],
    effectStep: 1,
    seams: disguised({ directions: ["query_to_doc"] }),
  },
  {
    name: "own-query-not-masked",
    what: "A query counts itself among the other queries.",
    overrides: { loss: { directions: ["query_to_doc", "query_to_query"] } },
    stages: ["scores"],
    effectStep: 1,
    seams: logits((graph) => changeScalar(graph, /^query_to_query\/where$/, -1e30, 0)),
  },
  {
    name: "negative-columns-swapped",
    what: "The two columns of negatives are swapped before they are scored.",
    overrides: triplets,
    stages: ["scores"],
    effectStep: 1,
    seams: () => ({
      runtime: {
        programs: /^(batch_rows|ranking_scores)$/,
        inputs: (inputs) => {
          const [prefix] = Object.keys(inputs)
            .filter((name) => name.endsWith("/column3"))[0]!
            .split("/");
          return {
            ...inputs,
            [`${prefix}/column2`]: inputs[`${prefix}/column3`]!,
            [`${prefix}/column3`]: inputs[`${prefix}/column2`]!,
          };
        },
      },
    }),
  },
  {
    name: "negatives-sign",
    what: "Scores of the last column of negatives have the wrong sign.",
    overrides: triplets,
    stages: ["scores"],
    effectStep: 1,
    seams: logits((graph) =>
      replaceOutput(graph, /^query_to_doc\/matmul_3$/, ({ outputs: [scores] }) => multiply(scores!, -1)),
    ),
  },
  {
    name: "hardness-on-positives",
    what: "The hardness penalty is added to positives too.",
    overrides: { columns: 3, loss: { hardnessMode: "all_negatives", hardnessStrength: 5 } },
    stages: ["scores"],
    effectStep: 1,
    seams: logits((graph) =>
      changeInputs(graph, /^query_to_doc\/where$/, ([condition, , penalty]) => [condition!, penalty!, penalty!]),
    ),
  },
  {
    name: "labels-shifted",
    what: "Each row's label is its neighbour's positive.",
    stages: ["labels"],
    effectStep: 1,
    seams: () => ({
      runtime: {
        programs: /^batch_rows$/,
        inputs: (inputs) => ({ ...inputs, positives: rotated(inputs.positives!) }),
      },
      loss: (loss) => {
        intercept(loss, "forwardBackward", (forwardBackward) => (encoder, batch, options = {}) => {
          const { observer } = options;
          if (!observer) return forwardBackward(encoder, batch, options);
          const onScores: typeof observer.onScores = (scores) =>
            observer.onScores?.({
              ...scores,
              labels: scores.labels.map((_, row, all) => all[(row + 1) % all.length]!),
            });
          return forwardBackward(encoder, batch, { ...options, observer: { ...observer, onScores } });
        });
        return loss;
      },
    }),
  },
  {
    name: "positives-shifted",
    what: "The positive scores in the loss are those of the next row's document.",
    stages: ["loss"],
    effectStep: 1,
    seams: () => ({
      runtime: { programs: /^batch_rows$/, inputs: (inputs) => ({ ...inputs, positives: rotated(inputs.positives!) }) },
    }),
  },
  {
    name: "scale-of-positives",
    what: "The positive's score is multiplied by 19.999 instead of 20.",
    stages: ["loss"],
    effectStep: 1,
    seams: () => ({
      runtime: { programs: /^batch_rows$/, graph: (graph) => changeScalar(graph, /^multiply_\d$/, 20, 19.999) },
    }),
  },
  {
    name: "last-rows-of-loss-lost",
    what: "The last, short chunk of rows is left out of the loss.",
    stages: ["loss"],
    effectStep: 1,
    seams: () => ({
      runtime: {
        programs: /^batch_rows$/,
        outputs: (made, { row_weights: weights }) =>
          weights!.data.length === 3
            ? made
            : Object.fromEntries(Object.entries(made).map(([name, tensor]) => [name, zeros(tensor)])),
      },
    }),
  },
  {
    name: "mean-over-full-batches",
    what: "The mean is taken over the rows of a full batch where the batch is short.",
    overrides: { lastBatch: 5 },
    stages: ["loss"],
    effectStep: 2,
    seams: () => ({
      runtime: {
        programs: /^batch_rows$/,
        inputs: (inputs) => ({
          ...inputs,
          row_weights: { ...inputs.row_weights!, data: new Float32Array(inputs.row_weights!.data.length).fill(1 / 8) },
        }),
      },
    }),
  },
  {
    name: "per-direction-mean-missing",
    what: "The logarithms of two directions' partition sums are added instead of averaged.",
    overrides: bothDirections,
    stages: ["loss"],
    effectStep: 1,
    seams: () => ({
      runtime: { programs: /^batch_rows$/, graph: (graph) => changeScalar(graph, /^(?!backward).*multiply/, 0.5, 1) },
    }),
  },
  {
    name: "loss-of-the-batch-before",
    what: "The loss that is returned is that of the batch before.",
    stages: ["loss"],
    effectStep: 2,
    seams: () => ({
      loss: (loss) => {
        let before: number | undefined;
        intercept(loss, "forwardBackward", (forwardBackward) => async (encoder, batch, options) => {
          const now = await forwardBackward(encoder, batch, options);
          const returned = before ?? now;
          before = now;
          return returned;
        });
        return loss;
      },
    }),
  },
  {
    name: "anchor-gradients-dropped",
    what: "Queries get no gradient.",
    stages: ["embedding-gradients"],
    effectStep: 1,
    seams: outputs(/^batch_rows$/, (made) =>
      made.anchor_gradients ? { ...made, anchor_gradients: zeros(made.anchor_gradients) } : made,
    ),
  },
  {
    name: "positive-gradients-dropped",
    what: "Positives get a gradient as candidates, but not as positives.",
    stages: ["embedding-gradients"],
    effectStep: 1,
    seams: outputs(/^batch_rows$/, (made) =>
      made.positive_gradients ? { ...made, positive_gradients: zeros(made.positive_gradients) } : made,
    ),
  },
  {
    name: "negative-gradients-swapped",
    what: "The gradients of the two columns of negatives are swapped.",
    overrides: triplets,
    stages: ["embedding-gradients"],
    effectStep: 1,
    seams: outputs(/^batch_rows$/, (made) =>
      made.column2_gradients
        ? { ...made, column2_gradients: made.column3_gradients!, column3_gradients: made.column2_gradients }
        : made,
    ),
  },
  {
    name: "chunk-gradients-overwritten",
    what: "Gradients of candidates are those of one chunk of rows instead of the sum over all.",
    stages: ["embedding-gradients"],
    effectStep: 1,
    seams: outputs(/^batch_rows$/, (made) =>
      made.column1_gradients && made.anchor_gradients!.shape[0] === 3
        ? { ...made, column1_gradients: zeros(made.column1_gradients) }
        : made,
    ),
  },
  {
    name: "hardness-not-detached",
    what: "The hardness penalty is differentiated, as if it were not a constant.",
    overrides: { columns: 3, loss: { hardnessMode: "all_negatives", hardnessStrength: 5 } },
    stages: ["embedding-gradients"],
    effectStep: 1,
    // For explicit negatives the penalty holds in every place: the derivative of (20 + 5) s instead of that of 20 s.
    seams: () => ({
      runtime: {
        programs: /^batch_rows$/,
        graph: (graph) => {
          const product = graph.nodes.find(({ name }) => name === "query_to_doc/matmul_2")!.outputs[0]!;
          const scaled = graph.nodes.find(
            ({ operator, inputs }) =>
              operator.name === "multiply" &&
              inputs[0] === product &&
              inputs[1]!.source.kind === "constant" &&
              Number(inputs[1]!.source.data[0]) === 20,
          )!;
          changeScalar(graph, new RegExp(`^backward/${scaled.name}/multiply`), 20, 25);
        },
      },
    }),
  },
  {
    name: "normalisation-not-differentiated",
    what: "The gradient passes the normalisation of embeddings as if it were not there.",
    stages: ["embedding-gradients"],
    effectStep: 1,
    seams: () => ({
      runtime: {
        programs: /^normalize_backward$/,
        outputs: (_, { vector_gradients: gradients }) => ({ embedding_gradients: gradients! }),
      },
    }),
  },
  {
    name: "normalisation-half-differentiated",
    what: "The gradient is divided by the norm, but not freed of its part along the embedding.",
    stages: ["embedding-gradients"],
    effectStep: 1,
    seams: () => ({
      runtime: {
        programs: /^normalize_backward$/,
        graph: (graph) => changeScalar(graph, /^backward\/sqrt\/multiply$/, 0.5, 0),
      },
    }),
  },
  {
    name: "one-program-temperature-backward",
    what: "Without GradCache: logits are differentiated with a scale of 20.002 instead of 20.",
    overrides: { loss: { class: "MultipleNegativesRankingLoss" } },
    stages: ["embedding-gradients"],
    effectStep: 1,
    seams: () => ({
      runtime: {
        programs: /^multiple_negatives_ranking$/,
        graph: (graph) => changeScalar(graph, /^backward\/loss\/query_to_doc\/multiply\/multiply$/, 20, 20.002),
      },
    }),
  },
];

/** The rows, each in the place of the one before. */
function rotated({ data, ...type }: Tensor): Tensor {
  const [rows, width] = type.shape as [number, number];
  const values = data as Float32Array;
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    result.set(values.subarray(((row + 1) % rows) * width, (((row + 1) % rows) + 1) * width), row * width);
  return { ...type, data: result };
}
