import type { DropoutKey, Loss, SentenceEncoder, TokenSequence } from "@gradbank/core";
import {
  compareTensor,
  rootMeanSquare,
  shareOfTolerance,
  type TensorComparison,
} from "../comparison/compare-tensor.ts";
import type { FloatTensor, TensorOf } from "../protocol/tensor.ts";
import type { Reference } from "../reference/reference.ts";
import type {
  LossStepColumn,
  ReferenceLoss,
  ReferenceLossOptions,
  ReferenceModel,
} from "../reference/reference-types.ts";

/** The points of a step at which both sides are compared, in the order in which data flows through them. */
export const stepStages = [
  "tokens",
  "embeddings",
  "loss",
  "embedding-gradients",
  "replayed-embeddings",
  "parameter-gradients",
] as const;

/** Name of a stage. */
export type StepStage = (typeof stepStages)[number];

/** One stage of a step. */
export interface StageComparison {
  readonly stage: StepStage;
  /** Every tensor of the stage. */
  readonly tensors: readonly TensorComparison[];
  /** The tensor that is nearest to its tolerance, or furthest beyond it. */
  readonly worst: TensorComparison;
  readonly equal: boolean;
}

/** A step on both sides. */
export interface StepComparison {
  readonly loss: { readonly ours: number; readonly theirs: number };
  /** The stages that the step has, in the order of `stepStages`. */
  readonly stages: readonly StageComparison[];
  /** Whether all stages are. */
  readonly equal: boolean;
}

export interface CompareStepOptions {
  readonly encoder: SentenceEncoder;
  readonly reference: Pick<Reference, "lossStep" | "tokenize">;
  /**
   * The reference's model, with the encoder's weights. In float64 what is compared is our rounding alone; in float32
   * torch rounds as much as we do, and the two together can exceed a tolerance.
   */
  readonly model: ReferenceModel;
  readonly loss: Loss;
  /** Options of the reference's loss. Default: those of `loss.configuration`. */
  readonly referenceLossOptions?: ReferenceLossOptions;
  /** Token ids: anchors, positives, negatives. Both sides take these. */
  readonly columns: readonly (readonly TokenSequence[])[];
  /** The texts behind them: both sides' tokenizers are then compared as well. Default: not compared. */
  readonly texts?: readonly (readonly string[])[];
  /** Draw dropout masks with this key and give them to both sides. Default: no dropout. */
  readonly dropout?: DropoutKey;
  /** Factor of the parameters' gradients: 1 / gradient accumulation steps. Default 1. */
  readonly gradientScale?: number;
}

/**
 * Takes one step on both sides, forward and backward, and compares every stage. No weight changes; the encoder's
 * gradients are zero afterwards.
 *
 * Tolerances: token ids and GradCache's replay are the same exactly; embeddings to 1e-5 of their root mean square; the
 * loss to 1e-6 + 1e-5 of itself; gradients to 1e-6 + 1e-4 of the root mean square of their column or, for parameters,
 * of their layer.
 *
 * @throws BridgeError as `Reference.lossStep` does; OptionError for a batch that the loss cannot take.
 */
export async function compareStep(options: CompareStepOptions): Promise<StepComparison> {
  const { encoder, reference, model, columns, texts, gradientScale = 1 } = options;
  const ours = await ourStep(options);
  const theirs = await reference.lossStep({
    model,
    loss: referenceLoss(options),
    scale: gradientScale,
    columns: columns.map((tokens, column) => withDropout(encoder, tokens, column, options.dropout)),
  });
  const stages: Partial<Record<StepStage, TensorComparison[]>> = {};
  if (texts) {
    stages.tokens = [];
    for (const [column, given] of texts.entries()) {
      const expected = await reference.tokenize(model, given, encoder.maxSequenceLength);
      stages.tokens.push(compareTokens(columnName(column), columns[column]!, expected));
    }
  }
  stages.embeddings = compareColumns(ours.embeddings, theirs.embeddings, (scale) => 1e-5 * scale);
  stages.loss = [
    compareTensor("loss", [ours.loss], [theirs.loss], {
      scale: Math.abs(theirs.loss),
      tolerance: 1e-6 + 1e-5 * Math.abs(theirs.loss),
    }),
  ];
  stages["embedding-gradients"] = compareColumns(
    ours.embeddingGradients,
    theirs.embeddingGradients,
    (scale) => 1e-6 + 1e-4 * scale,
  );
  if (ours.replayed.length > 0)
    stages["replayed-embeddings"] = ours.replayed.map((again, column) =>
      compareBits(columnName(column), again, ours.embeddings[column]!),
    );
  stages["parameter-gradients"] = compareParameterGradients(encoder, theirs.parameterGradients);
  encoder.parameters.zeroGradients();

  const compared = stepStages.flatMap((stage) => (stages[stage] ? [summarize(stage, stages[stage])] : []));
  return {
    loss: { ours: ours.loss, theirs: theirs.loss },
    stages: compared,
    equal: compared.every(({ equal }) => equal),
  };
}

/** Block of the model that a parameter belongs to: `encoder.layer.3`, `embeddings`, ... */
export function layerOfParameter(name: string): string {
  return /^(?:encoder|transformer)\.layer\.\d+/.exec(name)?.[0] ?? name.split(".")[0]!;
}

interface OurStep {
  readonly loss: number;
  readonly embeddings: readonly Float32Array[];
  readonly embeddingGradients: readonly Float32Array[];
  /** None for a loss that does not replay. */
  readonly replayed: readonly Float32Array[];
}

async function ourStep({ encoder, loss, columns, dropout, gradientScale = 1 }: CompareStepOptions): Promise<OurStep> {
  const embeddings: Float32Array[] = [];
  const embeddingGradients: Float32Array[] = [];
  const replayed: Float32Array[] = [];
  encoder.parameters.zeroGradients();
  const value = await loss.forwardBackward(
    encoder,
    { columns },
    {
      gradientScale,
      dropout,
      // The arrays may be used again after the call: they are copied.
      observer: {
        onEmbeddings: (column, data) => {
          embeddings[column] = data.slice();
        },
        onEmbeddingGradients: (column, data) => {
          embeddingGradients[column] = data.slice();
        },
        onReplayedEmbeddings: (column, data) => {
          replayed[column] = data.slice();
        },
      },
    },
  );
  return { loss: value, embeddings, embeddingGradients, replayed };
}

function referenceLoss({ loss, referenceLossOptions }: CompareStepOptions): ReferenceLoss {
  const kind = loss.name as ReferenceLoss["class"];
  // The configuration has Python's names already.
  return { class: kind, options: referenceLossOptions ?? (loss.configuration as ReferenceLossOptions) };
}

/** A column's tokens with the masks that our side draws for them, padded to its longest text. */
function withDropout(
  encoder: SentenceEncoder,
  tokens: readonly TokenSequence[],
  column: number,
  key: DropoutKey | undefined,
): LossStepColumn {
  if (!key) return { tokens };
  const rows = Int32Array.from(tokens.keys());
  const length = Math.max(...tokens.map((sequence) => sequence.length));
  const masks = Object.entries(encoder.programs.dropoutMasks(key, column, rows, length)).map(
    ([site, { shape, data }]): [string, TensorOf<"uint8">] => [
      site,
      {
        dtype: "uint8",
        // We draw masks of hidden states over the tokens of all rows; torch has rows and tokens apart.
        shape: shape.length === 2 ? [rows.length, length, shape[1]!] : [...shape],
        data: data as Uint8Array,
      },
    ],
  );
  return { tokens, dropout: Object.fromEntries(masks) };
}

function compareTokens(
  name: string,
  ours: readonly TokenSequence[],
  theirs: readonly (readonly number[])[],
): TensorComparison {
  const width = Math.max(...ours.map((row) => row.length), ...theirs.map((row) => row.length));
  const table = (rows: readonly ArrayLike<number>[]): number[] =>
    rows.flatMap((row) => Array.from({ length: width }, (_, position) => row[position] ?? -1));
  return compareTensor(name, table(ours), table(theirs), { scale: 1, tolerance: 0 });
}

function compareColumns(
  ours: readonly Float32Array[],
  theirs: readonly FloatTensor[],
  tolerance: (scale: number) => number,
): TensorComparison[] {
  return Array.from({ length: Math.max(ours.length, theirs.length) }, (_, column) => {
    const expected = theirs[column]?.data ?? [];
    const scale = rootMeanSquare(expected);
    return compareTensor(columnName(column), ours[column] ?? [], expected, { scale, tolerance: tolerance(scale) });
  });
}

/** GradCache's second pass must repeat the first bit by bit: -0 is not 0. */
function compareBits(name: string, again: Float32Array, first: Float32Array): TensorComparison {
  const comparison = compareTensor(name, again, first, { scale: rootMeanSquare(first), tolerance: 0 });
  const other = again.findIndex((value, index) => !Object.is(value, first[index]));
  if (other < 0 || !comparison.equal) return comparison;
  return { ...comparison, index: other, ours: again[other]!, theirs: first[other]!, equal: false };
}

/**
 * Some gradients are zero but for rounding (those of attention key biases: softmax does not change when all scores of a
 * row do), so a parameter is judged on the scale of its layer. Rows of embedding tables that no text reaches are exactly
 * zero; they would dilute the scale and do not count in it.
 */
function compareParameterGradients(
  encoder: SentenceEncoder,
  theirs: Readonly<Record<string, FloatTensor>>,
): TensorComparison[] {
  const layers = new Map<string, { squares: number; count: number }>();
  for (const [name, { data }] of Object.entries(theirs)) {
    const layer = layers.get(layerOfParameter(name)) ?? { squares: 0, count: 0 };
    for (const value of data) {
      layer.squares += value * value;
      if (value !== 0) layer.count++;
    }
    layers.set(layerOfParameter(name), layer);
  }
  return [...new Set([...encoder.trainedParameters, ...Object.keys(theirs)])].map((name) => {
    const { squares, count } = layers.get(layerOfParameter(name)) ?? { squares: 0, count: 0 };
    const scale = Math.sqrt(squares / Math.max(count, 1));
    const ours = encoder.trainedParameters.has(name) ? encoder.parameters.gradient(name) : [];
    return compareTensor(name, ours, theirs[name]?.data ?? [], { scale, tolerance: 1e-6 + 1e-4 * scale });
  });
}

function summarize(stage: StepStage, tensors: readonly TensorComparison[]): StageComparison {
  return {
    stage,
    tensors,
    worst: tensors.reduce((worst, other) => (shareOfTolerance(other) > shareOfTolerance(worst) ? other : worst)),
    equal: tensors.every(({ equal }) => equal),
  };
}

function columnName(column: number): string {
  return `column ${column}`;
}
