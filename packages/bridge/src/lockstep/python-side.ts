import type { Noise } from "../comparison/noise.ts";
import { tokenTensors, withoutPrefix, withPrefix } from "../protocol/named-tensors.ts";
import type { FloatTensor, Tensor, Tensors } from "../protocol/tensor.ts";
import type { Reference } from "../reference/reference.ts";
import { snakeCaseKeys } from "../reference/snake-case.ts";
import type {
  LockstepBatches,
  Numbers,
  ReferenceActivation,
  ReferenceConfiguration,
  ReferenceSide,
  ReferenceState,
  ReferenceTensor,
} from "./reference-side.ts";
import type { Stage } from "./stages.ts";

/** The loss that Python holds ours against. */
export type LockstepReferenceLoss =
  | {
      /** A loss of sentence-transformers, of its pull request 3612, or the paper's, with its own bank. */
      readonly class:
        | "MultipleNegativesRankingLoss"
        | "CachedMultipleNegativesRankingLoss"
        | "PullRequest3612"
        | "ContAccum";
      /** Keyword arguments by Python's names. */
      readonly options?: Readonly<Record<string, unknown>>;
    }
  | {
      /** A Python file of the user's. */
      readonly file: string;
      /** A class in it: `Class(model, **options)`, called with features and labels, giving a scalar. */
      readonly class: string;
      readonly options?: Readonly<Record<string, unknown>>;
    };

/** Arguments of the update, with the Hugging Face Trainer's names and defaults. */
export interface UpdateArguments {
  /** Default 0.9. */
  readonly adamBeta1?: number;
  /** Default 0.999. */
  readonly adamBeta2?: number;
  /** Default 1e-8. */
  readonly adamEpsilon?: number;
  /** Default 0. */
  readonly weightDecay?: number;
  /** Norm to which gradients are clipped; 0: not at all. Default 1. */
  readonly maxGradNorm?: number;
}

/**
 * `teacher-forced`: every step starts from the reference's state, so that each is judged by itself. `free-running`: each
 * side goes its own way, and the drift is judged.
 */
export type LockstepMode = "teacher-forced" | "free-running";

/** How Python takes part. */
export interface PythonSideOptions {
  /** Model folder; both sides load it. */
  readonly folder: string;
  readonly loss: LockstepReferenceLoss;
  readonly mode: LockstepMode;
  readonly arguments?: UpdateArguments;
  /** Dropout masks come with the batches. Default: false. */
  readonly dropout?: boolean;
  /** Compute in float64 too, and measure the noise floor. Default: true. */
  readonly noise?: boolean;
  /** Tokens at which texts are cut. Default: the model's. */
  readonly maxLength?: number;
  /** Tensors of up to so many elements are sent whole, others as sketches. Default: 65,536. */
  readonly whole?: number;
  /** Milliseconds for one step. Default: an hour. */
  readonly timeout?: number;
}

interface TensorEntry {
  readonly stage: Stage;
  readonly name: string;
  readonly shape: readonly number[];
  readonly norm: number;
  readonly non_finite: number;
  readonly noise: Noise | null;
  readonly sketch_noise: Noise | null;
  readonly sent: "value" | "sketch";
}

/**
 * Lets Python load the model and the loss for a lockstep comparison.
 *
 * @throws BridgeError "remote-error" for a model or loss that Python cannot make; otherwise as every request.
 */
export async function openPythonSide(reference: Reference, options: PythonSideOptions): Promise<PythonSide> {
  const { folder, loss, mode, noise, dropout, maxLength, whole, timeout = 3_600_000 } = options;
  const { adamBeta1, adamBeta2, adamEpsilon, weightDecay, maxGradNorm } = options.arguments ?? {};
  const { result } = await reference.server.request(
    "lockstep_open",
    {
      folder,
      loss,
      mode,
      arguments: snakeCaseKeys({ adamBeta1, adamBeta2, adamEpsilon, weightDecay, maxGradNorm }),
      noise,
      dropout,
      max_length: maxLength,
      whole,
    },
    {},
    timeout,
  );
  return new PythonSide(reference, {
    handle: result.lockstep as string,
    model: result.model as string,
    configuration: {
      facts: result.facts as ReferenceConfiguration["facts"],
      environment: result.environment as ReferenceConfiguration["environment"],
    },
    maxLength,
    timeout,
  });
}

interface OpenedLockstep {
  readonly handle: string;
  readonly model: string;
  readonly configuration: ReferenceConfiguration;
  readonly maxLength: number | undefined;
  readonly timeout: number;
}

/** A lockstep comparison's Python half: one open model and loss in the server. */
export class PythonSide implements ReferenceSide {
  readonly configuration: ReferenceConfiguration;
  /** Handle of Python's float32 model, for the other methods of `Reference`. */
  readonly model: string;
  readonly #reference: Reference;
  readonly #opened: OpenedLockstep;
  #computeSeconds = 0;

  constructor(reference: Reference, opened: OpenedLockstep) {
    this.#reference = reference;
    this.#opened = opened;
    this.configuration = opened.configuration;
    this.model = opened.model;
  }

  /** Seconds that Python has computed so far, in both precisions; the rest of its time is comparison and transport. */
  get computeSeconds(): number {
    return this.#computeSeconds;
  }

  tokenize(texts: readonly string[]): Promise<number[][]> {
    return this.#reference.tokenize(this.model, texts, this.#opened.maxLength);
  }

  async step({ batches, parameters }: LockstepBatches): Promise<readonly ReferenceTensor[]> {
    const inputs: Record<string, Tensor> = {};
    batches.forEach(({ columns }, batch) => {
      columns.forEach(({ tokens, dropout = {} }, column) => {
        const prefix = `batch${batch}.column${column}`;
        Object.assign(inputs, withPrefix(tokenTensors(tokens), `${prefix}.`));
        for (const [site, mask] of Object.entries(dropout)) inputs[`${prefix}.dropout.${site}`] = mask;
      });
    });
    return this.#tensors(
      "lockstep_step",
      { batches: batches.length, columns: batches[0]!.columns.length, parameters },
      inputs,
    );
  }

  update(learningRate: number): Promise<readonly ReferenceTensor[]> {
    return this.#tensors("lockstep_update", { learning_rate: learningRate });
  }

  pull(stage: Stage, names: readonly string[]): Promise<readonly ReferenceTensor[]> {
    return this.#tensors("lockstep_pull", { stage, names });
  }

  async gradients(): Promise<Readonly<Record<string, FloatTensor>>> {
    const { tensors } = await this.#request("lockstep_gradients");
    return withoutPrefix(tensors, "gradients.");
  }

  async state(): Promise<ReferenceState> {
    const { result, tensors } = await this.#request("lockstep_state");
    const columns = Object.values(withoutPrefix(tensors, "bank."));
    return {
      step: result.step as number,
      weights: withoutPrefix(tensors, "weights."),
      firstMoments: withoutPrefix(tensors, "first."),
      secondMoments: withoutPrefix(tensors, "second."),
      ...(result.bank ? { bank: columns } : {}),
    };
  }

  async activations(batch: number, column: number): Promise<readonly ReferenceActivation[]> {
    const { result, tensors } = await this.#request("lockstep_activations", { batch, column });
    const entries = result.activations as { module: string; shape: number[]; noise: Noise | null }[];
    return entries.map(({ module, shape, noise }, index) => ({
      module,
      shape,
      value: doubles(tensors[`value.${index}`]!),
      ...(noise ? { noise } : {}),
    }));
  }

  async close(): Promise<void> {
    await this.#request("lockstep_close");
  }

  async #tensors(
    method: string,
    parameters: Readonly<Record<string, unknown>>,
    inputs: Tensors = {},
  ): Promise<ReferenceTensor[]> {
    const { result, tensors } = await this.#request(method, parameters, inputs);
    this.#computeSeconds += result.seconds as number;
    return (result.tensors as TensorEntry[]).map((entry, index) => ({
      stage: entry.stage,
      name: entry.name,
      shape: entry.shape,
      norm: entry.norm,
      nonFinite: entry.non_finite,
      ...(entry.noise ? { noise: entry.noise } : {}),
      ...(entry.sketch_noise ? { sketchNoise: entry.sketch_noise } : {}),
      ...(entry.sent === "value"
        ? { value: doubles(tensors[`value.${index}`]!) }
        : { sketch: doubles(tensors[`sketch.${index}`]!) }),
    }));
  }

  #request(method: string, parameters: Readonly<Record<string, unknown>> = {}, inputs: Tensors = {}) {
    const { handle, timeout } = this.#opened;
    return this.#reference.server.request(method, { lockstep: handle, ...parameters }, inputs, timeout);
  }
}

function doubles({ data }: Tensor): Numbers {
  return data instanceof Float64Array ? data : Float64Array.from(data as ArrayLike<number>);
}
