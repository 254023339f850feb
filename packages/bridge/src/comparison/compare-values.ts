import { OptionError } from "@gradbank/core";
import { compareElement, elementsOf, finiteOrNull } from "./element.ts";
import { type ComparedShapes, compareShapes, differentShapes, sameShape } from "./incomparable.ts";
import type { Noise } from "./noise.ts";
import { finitePair, measurePair, type Pair } from "./pair.ts";
import { type Floats, floats } from "./statistics.ts";
import type { TensorComparison } from "./tensor-comparison.ts";

export { type CompareExactlyOptions, compareExactly } from "./compare-exactly.ts";
export { compareFacts, type Fact, type Facts } from "./compare-facts.ts";
export { differentShapes, missing } from "./incomparable.ts";

/**
 * Largest multiple of the noise floor that counts as equal. In 45,000 comparisons of correct float32 with another order of
 * summation (the simulation of noise-floor.test.ts), half were below 0.5, 99.9 % below 4.8 and all below 7.2.
 */
export const defaultLimit = 8;

/** Fallback where no noise was measured: what `torch.testing.assert_close` allows for float32. */
export const defaultTolerance: Tolerance = { absolute: 1e-5, relative: 1.3e-6 };

/** Allowed is |ours - reference| <= absolute + relative * |reference|. */
export interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
}

/** How a comparison is judged. */
export interface JudgedBy {
  /** The noise floor (NoiseFloor); of the sketch where sketches are compared. Default: judged by `tolerance`. */
  readonly noise?: Noise | undefined;
  /** Used without noise. Default: `defaultTolerance`. */
  readonly tolerance?: Tolerance | undefined;
  /** Largest multiple of the noise floor that counts as equal. Default: `defaultLimit`. */
  readonly limit?: number | undefined;
}

export interface CompareValuesOptions extends ComparedShapes, JudgedBy {
  readonly ours: ArrayLike<number>;
  readonly reference: ArrayLike<number>;
  /** -Infinity on both sides is equal: a masked score. It counts in no statistic. Default: false. */
  readonly maskedInfinity?: boolean;
}

/**
 * Compares two tensors number by number.
 *
 * With a noise floor, `multiple` is the larger of largest difference / noise.max and w * rms of the differences /
 * noise.rms. The root mean square of many roundings varies much less than their maximum, so w = 2 - 1 / sqrt(elements):
 * it weighs twice for large tensors, and no more than the maximum for one number. Without noise, `multiple` is the
 * largest share of the tolerance, and the limit is 1.
 *
 * NaN or an infinity on any side is a difference (`not-finite`), also when both sides have it: there is nothing to
 * compare. `rms`, `scale`, `cosine`, `normRatio`, `relative`, `multiple` and `requiredTolerance` are then null, and `worst` is
 * the first such element.
 *
 * @throws BridgeError "invalid-tensor" when a side's numbers do not fit its shape; OptionError "invalid-input" for a noise
 * floor, tolerance or limit that is negative or not finite.
 */
export function compareValues(options: CompareValuesOptions): TensorComparison {
  const { name, shape, maskedInfinity = false } = options;
  const [ours, reference] = [floats(options.ours), floats(options.reference)];
  return (
    compareShapes(options, ours, reference) ?? judge({ name, shape, ours, reference, maskedInfinity }, judges(options))
  );
}

export interface CompareSketchesOptions extends ComparedShapes, JudgedBy {
  /** Sketch of ours (sketch.ts). */
  readonly ours: ArrayLike<number>;
  /** Euclidean norm of our elements. */
  readonly ourNorm: number;
  /** Sketch of the reference. */
  readonly reference: ArrayLike<number>;
  /** Euclidean norm of the reference's elements. */
  readonly referenceNorm: number;
}

/**
 * Compares two tensors by their sketches, judged as numbers are by `compareValues`. `normRatio` is that of the tensors;
 * `rms`, `scale`, `cosine` and `requiredTolerance` are the sketches'; what would name or count elements is absent. A masked
 * score makes its sketch infinite or NaN, which is reported as `not-finite`: such tensors are to be compared whole.
 *
 * @throws OptionError as `compareValues` does.
 */
export function compareSketches(options: CompareSketchesOptions): TensorComparison {
  const { name, shape, ourShape = shape, ourNorm, referenceNorm } = options;
  const [ours, reference] = [floats(options.ours), floats(options.reference)];
  const whole = { shape: [...shape], elements: elementsOf(shape), sketched: true };
  if (!sameShape(ourShape, shape)) return { ...differentShapes(name, ourShape, shape), ...whole };
  if (ours.length !== reference.length) {
    return { ...differentShapes(name, [ours.length], [reference.length], "sketch's length"), ...whole };
  }
  const judged = judge({ name, shape: [reference.length], ours, reference, maskedInfinity: false }, judges(options));
  const { worst, worstRelative, relative, mismatched, ulp, detail, ...comparison } = judged;
  return {
    ...comparison,
    ...(detail && { detail: `of its sketch, ${detail}` }),
    ...whole,
    normRatio: finiteOrNull(ourNorm / referenceNorm),
  };
}

/** What a pair of tensors is judged by. */
interface Judges {
  readonly noise?: Noise | undefined;
  readonly limit: number;
  /** What one element may differ by. */
  readonly allowed: Tolerance;
}

function judges({
  name,
  noise,
  tolerance = defaultTolerance,
  limit = defaultLimit,
}: JudgedBy & { readonly name: string }): Judges {
  const given = { ...tolerance, limit, ...(noise && { "noise.max": noise.max, "noise.rms": noise.rms }) };
  for (const [option, value] of Object.entries(given)) {
    if (Number.isFinite(value) && value >= 0) continue;
    throw new OptionError(
      "invalid-input",
      `Tensor "${name}" cannot be judged by ${option} ${value}: it must be a finite number that is not negative. ` +
        `A noise floor comes from NoiseFloor, which leaves out noise that is not finite.`,
      { name, option, value },
    );
  }
  return noise
    ? { noise, limit, allowed: { absolute: limit * noise.max, relative: 0 } }
    : { limit: 1, allowed: tolerance };
}

interface Compared {
  readonly name: string;
  readonly shape: readonly number[];
  readonly ours: Floats;
  readonly reference: Floats;
  readonly maskedInfinity: boolean;
}

function judge(compared: Compared, { noise, limit, allowed }: Judges): TensorComparison {
  const { name, shape, ours, reference } = compared;
  const pair = finitePair(ours, reference, compared.maskedInfinity);
  const count = pair.reference.length;
  const { rms, ourNorm, referenceNorm, product, ulp, ...extremes } = measurePair(pair);
  const scale = referenceNorm / Math.sqrt(Math.max(count, 1));
  const { mismatched, share, requiredTolerance } = judgeElements(pair, scale, allowed);
  const multiple = noise
    ? Math.max(
        quotient(extremes.largestDifference, noise.max),
        (2 - 1 / Math.sqrt(Math.max(count, 1))) * quotient(rms, noise.rms),
      )
    : share;
  const finite = pair.notFinite === 0;
  const equal = finite && multiple <= limit;
  const orNull = (value: number) => (finite && Number.isFinite(value) ? value : null);
  const element = (index: number) => compareElement(index, shape, ours[index]!, reference[index]!);
  return {
    name,
    shape: [...shape],
    equal,
    ...(!equal && { reason: finite ? (noise ? "noise" : "tolerance") : "not-finite" }),
    ...(!finite && { detail: notFiniteDetail(pair, ours, reference) }),
    sketched: false,
    zero: finite && count > 0 && extremes.largestReference <= (noise?.max ?? 0),
    ...(count + pair.notFinite > 0 && {
      worst: element(finite ? extremes.worst : pair.firstNotFinite),
      worstRelative: element(finite ? extremes.worstRelative : pair.firstNotFinite),
    }),
    relative: orNull(extremes.relative),
    rms: orNull(rms),
    scale: orNull(scale),
    mismatched: mismatched + pair.notFinite,
    elements: reference.length,
    cosine: orNull(Math.max(-1, Math.min(1, product / ourNorm / referenceNorm))),
    normRatio: orNull(ourNorm / referenceNorm),
    ...(count > 0 && { ulp: { p50: ulp.at(0.5), p99: ulp.at(0.99), max: Math.min(ulp.largest, Number.MAX_VALUE) } }),
    ...(noise && { noise: { max: noise.max, rms: noise.rms } }),
    multiple: orNull(multiple),
    limit,
    requiredTolerance: orNull(requiredTolerance),
  };
}

/** The pass that needs the scale, which the others found. */
function judgeElements({ ours, reference }: Pair, scale: number, { absolute, relative }: Tolerance) {
  let [mismatched, share, requiredTolerance] = [0, 0, 0];
  for (let index = 0; index < reference.length; index++) {
    const magnitude = Math.abs(reference[index]!);
    const difference = Math.abs(ours[index]! - reference[index]!);
    const allowance = absolute + relative * magnitude;
    if (difference > allowance) mismatched++;
    if (difference > share * allowance) share = difference / allowance;
    if (difference > requiredTolerance * (scale + magnitude)) requiredTolerance = difference / (scale + magnitude);
  }
  return { mismatched, share, requiredTolerance };
}

function notFiniteDetail({ notFinite, firstNotFinite }: Pair, ours: Floats, reference: Floats): string {
  const count = notFinite === 1 ? "1 number is" : `${notFinite.toLocaleString("en-US")} numbers are`;
  return `${count} not finite: ours ${ours[firstNotFinite]}, reference ${reference[firstNotFinite]}`;
}

/** Nothing is 0 times nothing. */
function quotient(difference: number, noise: number): number {
  return difference === 0 ? 0 : difference / noise;
}
