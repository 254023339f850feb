import type { TokenSequence } from "@gradbank/core";
import type { Noise } from "../comparison/noise.ts";
import type { FloatTensor, TensorOf } from "../protocol/tensor.ts";
import type { Stage } from "./stages.ts";

/** Numbers in double precision, in row-major order. */
export type Numbers = Float64Array;

/** One tensor of a step, as the reference has it. */
export interface ReferenceTensor {
  readonly stage: Stage;
  /**
   * Which tensor of its stage. `batch<k>.column<c>` for embeddings, their gradients and replays and the bank after a batch;
   * `batch<k>` for loss and labels; `batch<k>` or `batch<k>.<direction>` for scores (one matrix with a joint
   * partition, one a direction otherwise); `column<c>` for the bank after the update; `norm`; the parameter's name for
   * gradients and weights; `first.<parameter>` and `second.<parameter>` for moments.
   */
  readonly name: string;
  readonly shape: readonly number[];
  /** The float64 result, or float32 where the reference has no other; absent where only `sketch` was sent. */
  readonly value?: Numbers;
  /** Sketch of that result (comparison/sketch.ts); absent for tensors that are sent whole. */
  readonly sketch?: Numbers;
  /** Euclidean norm of the result. */
  readonly norm: number;
  /** Elements that are NaN or infinite; minus infinity in `scores` is a masked candidate and does not count. */
  readonly nonFinite: number;
  /** Rounding of the reference; absent where it was not measured. */
  readonly noise?: Noise;
  /** The same of the sketch: largest and root mean square difference of sketches. */
  readonly sketchNoise?: Noise;
}

/** What the reference says about itself before the first step: plain values by name, compared by name with ours. */
export interface ReferenceConfiguration {
  /** Facts that must agree: a difference stops the run. */
  readonly facts: Readonly<Record<string, string | number | boolean | null | readonly string[]>>;
  /** Versions, threads, device: reported, and allowed to differ. */
  readonly environment: Readonly<Record<string, string | number>>;
}

/** One column of a batch. */
export interface LockstepColumn {
  readonly tokens: readonly TokenSequence[];
  /** uint8 masks by dropout site for all rows, padded to the column's longest text; absent: no dropout. */
  readonly dropout?: Readonly<Record<string, TensorOf<"uint8">>>;
}

/** The batches of one accumulation group. */
export interface LockstepBatches {
  readonly batches: readonly { readonly columns: readonly LockstepColumn[] }[];
  /**
   * Whether `step` and `update` give the tensors of all parameters: their gradients, moments and weights. Of a large model
   * they cost more than the step. Default: true.
   */
  readonly parameters?: boolean;
}

/** State of the reference in float32, from which our side starts the next step when it is teacher-forced. */
export interface ReferenceState {
  /** Updates done. */
  readonly step: number;
  readonly weights: Readonly<Record<string, FloatTensor>>;
  readonly firstMoments: Readonly<Record<string, FloatTensor>>;
  readonly secondMoments: Readonly<Record<string, FloatTensor>>;
  /** Cached rows of each column, oldest first; absent for a loss without a bank, or one whose bank is not known. */
  readonly bank?: readonly FloatTensor[];
}

/** One module's output in a forward pass, real tokens only: [tokens, width], rows one after another; pooled: [rows, d]. */
export interface ReferenceActivation {
  readonly module: string;
  readonly shape: readonly number[];
  readonly value: Numbers;
  readonly noise?: Noise;
}

/**
 * The side that is believed. Python computes it; a golden folder repeats what Python computed once.
 *
 * Order of calls in a step: `step`, perhaps `activations` and `pull`, `gradients` (teacher-forced), `update`, perhaps
 * `pull`, `state` (teacher-forced). `pull` sees the tensors of the last `step` and `update`.
 */
export interface ReferenceSide {
  readonly configuration: ReferenceConfiguration;
  /** Token ids of texts. */
  tokenize(texts: readonly string[]): Promise<readonly (readonly number[])[]>;
  /** Forward and backward passes of an accumulation group: all stages up to `parameter-gradients`. */
  step(batches: LockstepBatches): Promise<readonly ReferenceTensor[]>;
  /** Clips, updates the weights, tells the loss: `clip-norm`, `moments`, `weights`, and `bank` after the update. */
  update(learningRate: number): Promise<readonly ReferenceTensor[]>;
  /** Whole tensors of a stage that were sketched before. */
  pull(stage: Stage, names: readonly string[]): Promise<readonly ReferenceTensor[]>;
  /** The float32 gradients that `update` will use, before clipping, by the parameter's name. */
  gradients(): Promise<Readonly<Record<string, FloatTensor>>>;
  state(): Promise<ReferenceState>;
  /** Outputs of the model's modules for one column of the step's batches, with the weights before the update. */
  activations(batch: number, column: number): Promise<readonly ReferenceActivation[]>;
  close(): Promise<void>;
}
