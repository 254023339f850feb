import type { Parameter, Parameters } from "../encoder/parameters.ts";
import { OptionError } from "../errors.ts";

export interface AdamWOptions {
  /** Decay rates of the moments. Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the denominator. Default 1e-8. */
  readonly epsilon?: number;
  /** Decoupled weight decay, applied to what `decays` names. Default 0. */
  readonly weightDecay?: number;
}

/** What an optimizer must keep to go on where it stopped. */
export interface AdamWState {
  /** Updates made so far. */
  readonly step: number;
  /** Running means of the gradients and of their squares, in the layout of the parameters. */
  readonly firstMoments: Float32Array;
  readonly secondMoments: Float32Array;
}

/**
 * Whether Hugging Face's Trainer decays a parameter: no name that has `bias` or a normalisation in it
 * (`Trainer.get_decay_parameter_names`). MPNet's table of relative position biases is thereby spared too.
 */
export function decays(name: string): boolean {
  return !/bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)/i.test(name);
}

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), as PyTorch's AdamW:
 * p -= lr * decay * p; m and v are exponential means of g and g^2; p -= lr / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + eps).
 *
 * Parameters that never had a gradient (a pooler that pooling does not use) are left alone, as PyTorch skips them.
 */
export class AdamW {
  readonly #parameters: Parameters;
  readonly #ranges: readonly { start: number; end: number; decay: number }[];
  readonly #betas: readonly [number, number];
  readonly #epsilon: number;
  readonly #firstMoments: Float32Array;
  readonly #secondMoments: Float32Array;
  #step = 0;

  /**
   * @param trained the parameters that get gradients, by name.
   * @throws OptionError "invalid-option" for a beta outside [0, 1), a negative epsilon or decay.
   */
  constructor(parameters: Parameters, trained: ReadonlySet<string>, options: AdamWOptions = {}) {
    const { betas = [0.9, 0.999], epsilon = 1e-8, weightDecay = 0 } = options;
    for (const beta of betas) if (!(beta >= 0 && beta < 1)) refuse("betas", betas, "each at least 0 and below 1");
    if (!(epsilon >= 0)) refuse("epsilon", epsilon, "a number of at least 0");
    if (!(weightDecay >= 0)) refuse("weightDecay", weightDecay, "a number of at least 0");
    this.#parameters = parameters;
    this.#betas = betas;
    this.#epsilon = epsilon;
    this.#firstMoments = new Float32Array(parameters.count);
    this.#secondMoments = new Float32Array(parameters.count);
    this.#ranges = mergeRanges(
      [...parameters].filter((parameter) => trained.has(parameter.name)),
      weightDecay,
    );
  }

  get state(): AdamWState {
    return { step: this.#step, firstMoments: this.#firstMoments, secondMoments: this.#secondMoments };
  }

  /**
   * Goes on from a saved state.
   * @throws OptionError "invalid-input" when it belongs to a model of another size.
   */
  restore(state: AdamWState): void {
    if (
      state.firstMoments.length !== this.#firstMoments.length ||
      state.secondMoments.length !== this.#secondMoments.length
    )
      throw new OptionError(
        "invalid-input",
        `The optimizer state holds ${state.firstMoments.length} and ${state.secondMoments.length} moments; the model has ${this.#firstMoments.length} parameters.`,
        { given: state.firstMoments.length, expected: this.#firstMoments.length },
      );
    this.#step = state.step;
    this.#firstMoments.set(state.firstMoments);
    this.#secondMoments.set(state.secondMoments);
  }

  /** Updates the parameters from their gradients, each taken `gradientScale` times (the clip factor). */
  step(learningRate: number, gradientScale = 1): void {
    this.#step++;
    const [beta1, beta2] = this.#betas;
    const correction1 = 1 - beta1 ** this.#step;
    const correction2 = Math.sqrt(1 - beta2 ** this.#step);
    const stepSize = learningRate / correction1;
    const epsilon = this.#epsilon;
    const { data, gradients } = this.#parameters;
    const [first, second] = [this.#firstMoments, this.#secondMoments];
    for (const { start, end, decay } of this.#ranges) {
      // PyTorch rounds this factor, and the decayed weight, to single precision: on large weights a few updates show it.
      const keep = Math.fround(1 - learningRate * decay);
      for (let index = start; index < end; index++) {
        const gradient = gradients[index]! * gradientScale;
        const m = beta1 * first[index]! + (1 - beta1) * gradient;
        const v = beta2 * second[index]! + (1 - beta2) * gradient * gradient;
        first[index] = m;
        second[index] = v;
        data[index] = Math.fround(data[index]! * keep) - (stepSize * m) / (Math.sqrt(v) / correction2 + epsilon);
      }
    }
  }
}

/** Neighbours with the same decay become one range. */
function mergeRanges(parameters: readonly Parameter[], weightDecay: number) {
  const ranges: { start: number; end: number; decay: number }[] = [];
  for (const { name, offset, size } of parameters) {
    const decay = decays(name) ? weightDecay : 0;
    const last = ranges.at(-1);
    if (last && last.end === offset && last.decay === decay) last.end = offset + size;
    else ranges.push({ start: offset, end: offset + size, decay });
  }
  return ranges;
}

function refuse(option: string, value: unknown, expected: string): never {
  throw new OptionError("invalid-option", `AdamW option ${option} is ${JSON.stringify(value)}: expected ${expected}.`, {
    option,
    value,
  });
}
