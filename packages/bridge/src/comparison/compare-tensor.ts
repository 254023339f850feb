/** How one tensor of ours compares with the reference's. */
export interface TensorComparison {
  /** Which tensor of its stage: `column 0`, a parameter's name, or the stage itself. */
  readonly name: string;
  /** Numbers compared. */
  readonly elements: number;
  /** Largest |ours - reference|; NaN where a number is missing or not finite on one side. */
  readonly difference: number;
  /** Where it is, in the flat tensor. */
  readonly index: number;
  /** Our number there. */
  readonly ours: number;
  /** The reference's number there. */
  readonly theirs: number;
  /** What the difference is to be seen in relation to: a root mean square, or a magnitude. */
  readonly scale: number;
  /** Largest difference that counts as equal. */
  readonly tolerance: number;
  readonly equal: boolean;
}

/** What a comparison is judged by. */
export interface ComparisonLimits {
  readonly scale: number;
  readonly tolerance: number;
}

/**
 * Compares two tensors element by element and keeps the worst element. A number that is missing or not finite on either
 * side is the worst of all, wherever it stands.
 */
export function compareTensor(
  name: string,
  ours: ArrayLike<number>,
  theirs: ArrayLike<number>,
  { scale, tolerance }: ComparisonLimits,
): TensorComparison {
  const elements = Math.max(ours.length, theirs.length);
  let [difference, index] = [0, 0];
  for (let element = 0; element < elements; element++) {
    const distance = Math.abs((ours[element] ?? Number.NaN) - (theirs[element] ?? Number.NaN));
    if (distance <= difference) continue;
    [difference, index] = [distance, element];
    if (Number.isNaN(distance)) break;
  }
  return {
    name,
    elements,
    difference,
    index,
    ours: ours[index] ?? Number.NaN,
    theirs: theirs[index] ?? Number.NaN,
    scale,
    tolerance,
    equal: difference <= tolerance,
  };
}

/** How far a comparison is from failing: 0 for the same numbers, 1 at the tolerance, infinite where one is not a number. */
export function shareOfTolerance({ difference, tolerance }: TensorComparison): number {
  if (difference === 0) return 0;
  const share = difference / tolerance;
  return Number.isNaN(share) ? Number.POSITIVE_INFINITY : share;
}

/** A difference in relation to the comparison's scale. */
export function relativeDifference({ difference, scale }: TensorComparison): number {
  return difference === 0 ? 0 : difference / scale;
}

/** Square root of the mean of the squares; 0 for no numbers. */
export function rootMeanSquare(values: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < values.length; index++) sum += values[index]! ** 2;
  return Math.sqrt(sum / Math.max(values.length, 1));
}
