import { compareExactly, compareSketches, compareValues, missing } from "../comparison/compare-values.ts";
import { elementsOf } from "../comparison/element.ts";
import { NoiseFloor } from "../comparison/noise-floor.ts";
import { noiseOfGradients } from "../comparison/propagated-noise.ts";
import { sketch, sketchBlock, sketchGain } from "../comparison/sketch.ts";
import { euclideanNorm } from "../comparison/statistics.ts";
import type { TensorComparison } from "../comparison/tensor-comparison.ts";
import type { OurTensor } from "./our-side.ts";
import type { LockstepMode } from "./python-side.ts";
import type { ReferenceTensor } from "./reference-side.ts";
import type { Stage } from "./stages.ts";

/** Fixed limits, where the reference's rounding is not measured or the user wants them. */
export interface Tolerance {
  /** Largest |ours - reference| beside a reference of 0. */
  readonly absolute: number;
  /** Share of the reference's magnitude that is added. */
  readonly relative: number;
}

/** What `StageComparer` judges by. */
export interface JudgeOptions {
  /** Multiple of the noise floor that counts as equal. Default: that of comparison/compare-values.ts. */
  readonly limit?: number;
  /** Used where there is no noise. Default: 1e-6 + 1e-4 x the reference. */
  readonly tolerance?: Tolerance;
}

const defaultTolerance: Tolerance = { absolute: 1e-6, relative: 1e-4 };

/** Stages that a reference need not have: what its loss does not do, or does not show. */
const optional = new Set<Stage>(["scores", "labels", "replayed-embeddings", "bank"]);

export interface StageComparerOptions extends JudgeOptions {
  /**
   * `free-running`: norm and moments are those of each side's own gradients, and have their noise too. Default:
   * `teacher-forced`, where both sides have the reference's gradients.
   */
  readonly mode?: LockstepMode;
}

/** Compares the tensors of a stage; remembers the noise of a case's steps. */
export class StageComparer {
  readonly #options: StageComparerOptions;
  readonly #floors = new Map<string, NoiseFloor>();
  /** Root mean square noise of each batch's scores: the loss is computed from them. */
  readonly #scoreNoise = new Map<string, number>();
  /** The reference's loss of each batch of the step at hand. */
  readonly #losses = new Map<string, number>();
  /** Noise of this step's gradients: of each layer in relation to its norm, and the norm of all of it. */
  #gradientNoise = { relative: new Map<string, number>(), norm: 0 };

  constructor(options: StageComparerOptions = {}) {
    this.#options = options;
  }

  /**
   * Compares one stage of a step.
   *
   * @returns one comparison a tensor, in our order; empty where the reference has no such stage and need not have.
   */
  compare(stage: Stage, ours: readonly OurTensor[], theirs: readonly ReferenceTensor[]): TensorComparison[] {
    if (optional.has(stage) && theirs.length === 0) return [];
    const byName = new Map(theirs.map((tensor) => [tensor.name, tensor]));
    const known = new Set(ours.map(({ name }) => name));
    const pairs = ours.flatMap((tensor) => {
      const reference = byName.get(tensor.name);
      return reference ? [{ ours: tensor, reference }] : [];
    });
    const floors = this.#noiseFloors(
      stage,
      pairs.map(({ reference }) => reference),
    );
    const compared = new Map(
      pairs.map((pair, index) => [pair.ours.name, this.#pair(stage, pair.ours, pair.reference, floors[index])]),
    );
    return [
      ...ours.map((tensor) => compared.get(tensor.name) ?? missing(tensor.name, "reference")),
      ...theirs.filter(({ name }) => !known.has(name)).map(({ name }) => missing(name, "ours")),
    ];
  }

  #pair(
    stage: Stage,
    ours: OurTensor,
    reference: ReferenceTensor,
    noise: ReturnType<NoiseFloor["floors"]>[number] | undefined,
  ): TensorComparison {
    const { name, shape } = reference;
    if (stage === "labels")
      return compareExactly({ name, shape, ours: ours.value, ourShape: ours.shape, reference: reference.value! });
    const { limit, tolerance = defaultTolerance } = this.#options;
    const judged = { ...(noise ? { noise } : { tolerance }), ...(limit === undefined ? {} : { limit }) };
    if (reference.value)
      return compareValues({
        name,
        shape,
        ours: ours.value,
        ourShape: ours.shape,
        reference: reference.value,
        maskedInfinity: stage === "scores",
        ...judged,
      });
    // A masked score counts as 0 in sketch and norm, as it does on the reference's side.
    const summed =
      stage === "scores" ? Float64Array.from(ours.value, (score) => (score === -Infinity ? 0 : score)) : ours.value;
    return compareSketches({
      name,
      shape,
      ours: sketch(summed),
      ourShape: ours.shape,
      ourNorm: euclideanNorm(summed),
      reference: reference.sketch!,
      referenceNorm: reference.norm,
      ...judged,
    });
  }

  /** Noise floors of the tensors that have noise; sketches have floors of their own. */
  #noiseFloors(stage: Stage, theirs: readonly ReferenceTensor[]) {
    if (stage === "scores")
      for (const { name, noise } of theirs) {
        const batch = name.split(".")[0]!;
        if (noise) this.#scoreNoise.set(batch, Math.max(noise.rms, this.#scoreNoise.get(batch) ?? 0));
      }
    if (stage === "loss") for (const { name, value } of theirs) this.#losses.set(name, value![0]!);
    const scales = scalesOf(stage, theirs);
    const floors: (ReturnType<NoiseFloor["floors"]>[number] | undefined)[] = new Array(theirs.length);
    for (const sketched of [false, true]) {
      const chosen = [...theirs.keys()].filter((index) => {
        const tensor = theirs[index]!;
        return (tensor.value === undefined) === sketched && (sketched ? tensor.sketchNoise : tensor.noise);
      });
      const key = `${stage}/${sketched}`;
      const floor = this.#floors.get(key) ?? new NoiseFloor();
      this.#floors.set(key, floor);
      const found = floor.floors(
        chosen.map((index) => {
          const tensor = theirs[index]!;
          const elements = elementsOf(tensor.shape);
          const gain = sketched ? sketchGain : 1;
          return {
            name: tensor.name,
            scale: scales[index]! * gain,
            elements: sketched ? Math.ceil(elements / sketchBlock) : elements,
            noise: (sketched ? tensor.sketchNoise : tensor.noise)!,
            atLeast: this.#passedOn(stage, tensor.name, scales[index]!) * gain,
          };
        }),
      );
      chosen.forEach((index, place) => {
        floors[index] = found[place];
      });
    }
    if (stage === "parameter-gradients") this.#rememberGradientNoise(theirs, floors);
    return floors;
  }

  /** Root mean square noise that earlier stages must have passed on to a tensor of this scale (propagated-noise.ts). */
  #passedOn(stage: Stage, name: string, scale: number): number {
    const ofGradients = (batch: string, size: number) =>
      noiseOfGradients({ max: 0, rms: this.#scoreNoise.get(batch) ?? 0 }, size, this.#losses.get(batch) ?? 0);
    const freeRunning = this.#options.mode === "free-running";
    switch (stage) {
      case "loss":
        return this.#scoreNoise.get(name) ?? 0;
      case "embedding-gradients":
        return ofGradients(name.split(".")[0]!, scale);
      case "parameter-gradients":
        return Math.max(0, ...[...this.#losses.keys()].map((batch) => ofGradients(batch, scale)));
      case "clip-norm":
        // | ||g + d|| - ||g|| | <= ||d||.
        return freeRunning ? this.#gradientNoise.norm : 0;
      case "moments": {
        // Means of gradients have their relative noise, means of their squares twice as much.
        const times = name.startsWith("second.") ? 2 : 1;
        const relative = this.#gradientNoise.relative.get(layerOfMoment(name)) ?? 0;
        return freeRunning ? times * relative * scale : 0;
      }
      default:
        return 0;
    }
  }

  #rememberGradientNoise(
    tensors: readonly ReferenceTensor[],
    floors: readonly (ReturnType<NoiseFloor["floors"]>[number] | undefined)[],
  ): void {
    const sums = new Map<string, { noise: number; squares: number }>();
    for (const [index, { name, shape, norm, value }] of tensors.entries()) {
      const elements = elementsOf(shape);
      const gain = value ? 1 : sketchGain;
      const sum = sums.get(layerOfParameter(name)) ?? { noise: 0, squares: 0 };
      sum.noise += elements * ((floors[index]?.rms ?? 0) / gain) ** 2;
      sum.squares += norm ** 2;
      sums.set(layerOfParameter(name), sum);
    }
    this.#gradientNoise = {
      relative: new Map(
        [...sums].map(([layer, { noise, squares }]) => [layer, squares > 0 ? Math.sqrt(noise / squares) : 0]),
      ),
      norm: Math.sqrt([...sums.values()].reduce((sum, { noise }) => sum + noise, 0)),
    };
  }
}

/**
 * What a tensor's noise is seen in relation to: its root mean square; for gradients and moments, at least that of its
 * layer, because some are zero but for rounding (attention key biases: softmax does not change when all scores of a row
 * do). Rows of tables that no text reaches would make a layer's alone too small.
 */
function scalesOf(stage: Stage, tensors: readonly ReferenceTensor[]): number[] {
  const grouped = stage === "parameter-gradients" || stage === "moments";
  const group = ({ name }: ReferenceTensor) =>
    grouped ? (stage === "moments" ? `${name.split(".")[0]}.${layerOfMoment(name)}` : layerOfParameter(name)) : name;
  const sums = new Map<string, { squares: number; count: number }>();
  for (const tensor of tensors) {
    const sum = sums.get(group(tensor)) ?? { squares: 0, count: 0 };
    sum.squares += tensor.norm ** 2;
    sum.count += elementsOf(tensor.shape);
    sums.set(group(tensor), sum);
  }
  return tensors.map((tensor) => {
    const { squares, count } = sums.get(group(tensor))!;
    const own = tensor.norm ** 2 / Math.max(elementsOf(tensor.shape), 1);
    return Math.sqrt(Math.max(own, squares / Math.max(count, 1)));
  });
}

/** Block of the model that a parameter belongs to: `encoder.layer.3`, `embeddings`, ... */
export function layerOfParameter(name: string): string {
  return /^(?:encoder|transformer)\.layer\.\d+/.exec(name)?.[0] ?? name.split(".")[0]!;
}

function layerOfMoment(name: string): string {
  return layerOfParameter(name.replace(/^(first|second)\./, ""));
}
