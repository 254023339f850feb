import type { Noise } from "./noise.ts";
import { float32Ulp } from "./statistics.ts";

/** What was measured of one tensor in one step. */
export interface MeasuredTensor {
  /** Which tensor of its stage; the same one in every step. */
  readonly name: string;
  /** Root mean square of the reference; for a parameter's gradient, of its layer's gradients. */
  readonly scale: number;
  /** Largest magnitude of the reference. Default: `scale`. */
  readonly largest?: number;
  readonly elements: number;
  /** |float32 - float64| of the reference. */
  readonly noise: Noise;
  /** The floor's root mean square is not below this, in the tensor's own units. Default: 0. See propagated-noise.ts. */
  readonly atLeast?: number;
}

/** Steps whose noise is remembered, this one included. */
const remembered = 16;
/** A remembered noise counts up to this multiple of the median of those remembered: one bad step excuses itself only. */
const outlier = 4;
/** Share of the typical noise of a stage's tensors below which no tensor's floor falls. */
const shareOfPeers = 0.5;

/**
 * From the measured noise to the noise floor that a comparison uses: one object for one stage of one case.
 *
 * The noise of a tensor is one sample of a random size. With many independent elements, its root mean square and its
 * maximum hardly vary. With one element (a loss), it is the magnitude of about a normal variable, and the quotient of two
 * such, ours and the reference's, exceeds k with probability 2 / (pi k): 8 % for k = 8. The same holds for a large tensor
 * whose elements all inherit one upstream rounding. A raw quotient would therefore cry wolf. The floor takes the largest
 * of what is known:
 *
 * 1. the noise of this step;
 * 2. the noise of the tensor's last 16 steps: their largest, but not more than four times their (lower) median;
 * 3. half of the (lower) median noise of the stage's tensors in this step, where the maximum of a tensor of n elements is
 *    taken as sqrt(2 ln n) times the root mean square, as it is for normal variables;
 * 4. `atLeast`, what earlier stages must have passed on (propagated-noise.ts): the only guard that a lone scalar has in its
 *    first step, and that a stage has all of whose tensors were lucky together;
 * 5. half a unit in the last place of float32, which any float32 result may be off: at the tensor's scale for the root
 *    mean square, at its largest element for the maximum.
 *
 * Noise can be carried over (2, 3) as an absolute or as a relative size, and either alone is wrong when scales vary: a
 * loss of 1e-6 has a relative noise of 1, which would excuse anything in a loss of 2. The smaller of the two is taken.
 * Noise that is not finite (float32 overflowed) excuses nothing and is left out.
 *
 * The same class serves sketches, with an object of their own: `elements` are then blocks, `noise` the sketches' and
 * `scale` the tensor's times `sketchGain`.
 */
export class NoiseFloor {
  readonly #samples = new Map<string, Sample[]>();

  /** Floors of a stage's tensors in this step, in their order; to be called once a step with all of them. */
  floors(tensors: readonly MeasuredTensor[]): Noise[] {
    const samples = tensors.flatMap((tensor) => sampleOf(tensor) ?? []);
    const peers = carry(samples, lowerMedian);
    return tensors.map((tensor) => {
      const sample = sampleOf(tensor);
      const own = (this.#samples.get(tensor.name) ?? []).slice(sample ? 1 - remembered : -remembered);
      if (sample) own.push(sample);
      this.#samples.set(tensor.name, own);

      const scale = finite(tensor.scale);
      const known = Math.max(shareOfPeers * peers("rms", scale), finite(tensor.atLeast ?? 0));
      const before = carry(own, largestButOutliers);
      return {
        rms: Math.max(sample?.rms ?? 0, before("rms", scale), known, float32Ulp(scale) / 2),
        max: Math.max(
          sample?.max ?? 0,
          before("max", scale),
          known * crest(tensor.elements),
          float32Ulp(finite(tensor.largest ?? scale)) / 2,
        ),
      };
    });
  }
}

interface Sample extends Noise {
  readonly scale: number;
}

function sampleOf({ noise, scale }: MeasuredTensor): Sample | undefined {
  const usable = [noise.max, noise.rms, scale].every((value) => Number.isFinite(value) && value >= 0);
  return usable ? { max: noise.max, rms: noise.rms, scale } : undefined;
}

/** What samples say about the noise of a tensor of some scale: the smaller of their absolute and relative sizes. */
function carry(samples: readonly Sample[], summary: (sizes: readonly number[]) => number) {
  return (size: "max" | "rms", scale: number): number => {
    if (scale === 0) return 0;
    const absolute = summary(samples.map((sample) => sample[size]));
    const relative = summary(samples.map((sample) => (sample[size] === 0 ? 0 : sample[size] / sample.scale)));
    return Math.min(absolute, relative * scale);
  };
}

function largestButOutliers(sizes: readonly number[]): number {
  return Math.min(Math.max(0, ...sizes), outlier * lowerMedian(sizes));
}

function lowerMedian(sizes: readonly number[]): number {
  return [...sizes].sort((a, b) => a - b)[Math.floor((sizes.length - 1) / 2)] ?? 0;
}

/** Largest of n normal variables in relation to their root mean square. */
function crest(elements: number): number {
  return Math.sqrt(Math.max(1, 2 * Math.log(Math.max(elements, 1))));
}

/** 0 for what is not finite: it can give no floor. */
function finite(value: number): number {
  return Number.isFinite(value) ? value : 0;
}
