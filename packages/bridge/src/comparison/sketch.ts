import { floats } from "./statistics.ts";

/** Elements that one number of a sketch stands for. */
export const sketchBlock = 256;

/** Weights of a block's elements: magnitudes of 0.5 to 1.5, half of them negative, none like another. */
const weights = Float64Array.from({ length: sketchBlock }, (_, index) => sketchWeight(index + 1));

/**
 * How much larger the sketch of independent numbers is than they are, in root mean square: the norm of the weights,
 * about 16.7. A difference of root mean square r gives sketches that differ by about `sketchGain` * r.
 */
export const sketchGain = Math.sqrt(weights.reduce((sum, weight) => sum + weight * weight, 0));

/**
 * One number for every 256 elements, by which large tensors are compared without being sent: the dot product of the
 * block (the last one padded with zeros) with fixed weights, in double precision. A fault changes it unless it happens
 * to be orthogonal to the weights; swapped elements, rows and signs do. Python computes the same in
 * `gradbank_ref/lockstep/sketch.py`. A NaN or infinity makes its block's number NaN or infinite.
 */
export function sketch(values: ArrayLike<number>): Float64Array {
  const numbers = floats(values);
  const result = new Float64Array(Math.ceil(numbers.length / sketchBlock));
  for (let block = 0; block < result.length; block++) {
    const start = block * sketchBlock;
    const length = Math.min(sketchBlock, numbers.length - start);
    let sum = 0;
    for (let index = 0; index < length; index++) sum += numbers[start + index]! * weights[index]!;
    result[block] = sum;
  }
  return result;
}

/** Multiplicative hashes with the golden ratio's 32 bits and a second odd constant spread magnitudes and signs. */
function sketchWeight(place: number): number {
  const magnitude = (Math.imul(place, 2654435761) >>> 0) / 2 ** 32 + 0.5;
  let odd = false;
  for (let bits = Math.imul(place, 2246822519) >>> 0; bits !== 0; bits >>>= 1) odd = odd !== ((bits & 1) === 1);
  return odd ? -magnitude : magnitude;
}
