/** Arrays over which the loops of the comparison stay fast. */
export type Floats = Float32Array | Float64Array;

/** The numbers as a typed array; not copied where they are one. */
export function floats(values: ArrayLike<number>): Floats {
  return values instanceof Float32Array || values instanceof Float64Array ? values : Float64Array.from(values);
}

/** Square root of the sum of the squares; 0 for no numbers. */
export function euclideanNorm(values: ArrayLike<number>): number {
  const numbers = floats(values);
  let sum = 0;
  for (let index = 0; index < numbers.length; index++) sum += numbers[index]! * numbers[index]!;
  return Math.sqrt(sum);
}

/** Square root of the mean of the squares; 0 for no numbers. */
export function rootMeanSquare(values: ArrayLike<number>): number {
  return euclideanNorm(values) / Math.sqrt(Math.max(values.length, 1));
}

/** Largest |value|; 0 for no numbers, NaN if one is NaN. */
export function largestMagnitude(values: ArrayLike<number>): number {
  const numbers = floats(values);
  let largest = 0;
  for (let index = 0; index < numbers.length; index++) {
    const magnitude = Math.abs(numbers[index]!);
    if (!(magnitude <= largest)) largest = magnitude;
    if (Number.isNaN(largest)) break;
  }
  return largest;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);
/** Unit in the last place by float32's biased exponent; 0 is that of zero and denormals, 255 of what is beyond float32. */
const units = Float64Array.from({ length: 256 }, (_, exponent) => 2 ** (Math.min(Math.max(exponent, 1), 254) - 150));

/**
 * Distance of neighbouring float32 numbers at the magnitude of `value`, taken to the nearest float32: 2^-149 for zero and
 * denormals, 2^104 from 2^127 upwards and for what is not finite.
 */
export function float32Ulp(value: number): number {
  float[0] = value;
  return units[(bits[0]! >>> 23) & 255]!;
}

/** |ours - reference| in units in the last place of float32 at the reference's magnitude. Not a whole number in float64. */
export function ulpDistance(ours: number, reference: number): number {
  return Math.abs(ours - reference) / float32Ulp(reference);
}

/**
 * Percentiles of numbers from 0 upwards, by counting instead of sorting: numbers that agree in their exponent and the
 * first five bits of their mantissa are counted together, so a percentile is at most 3 % too small (and 0 below
 * 2^-131). The largest is exact.
 */
export class Percentiles {
  readonly #counts = new Uint32Array(2 ** 13);
  #total = 0;
  #largest = 0;
  /** The first bucket after that of zero in which there is something: where the search begins. */
  #first = 2 ** 13;

  add(value: number): void {
    float[0] = value;
    const bucket = bits[0]! >>> 18;
    this.#counts[bucket] = this.#counts[bucket]! + 1;
    if (bucket < this.#first && bucket > 0) this.#first = bucket;
    this.#total++;
    if (value > this.#largest) this.#largest = value;
  }

  get largest(): number {
    return this.#largest;
  }

  /** Smallest number that at least `share` (0 to 1) of all are not above; 0 when there are none. */
  at(share: number): number {
    const rank = Math.max(Math.ceil(share * this.#total), 1);
    let below = this.#counts[0]!;
    if (below >= rank || this.#total === 0) return 0;
    let bucket = this.#first - 1;
    while (below < rank) below += this.#counts[++bucket]!;
    bits[0] = bucket << 18;
    return Math.min(float[0]!, this.#largest);
  }
}
