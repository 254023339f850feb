import { OptionError } from "../errors.ts";

/**
 * Pearson's correlation of two lists of numbers: r = sum (x - mean x)(y - mean y) / (|x - mean x| |y - mean y|), scaled
 * against overflow and cut to [-1, 1] as scipy's `pearsonr` does.
 *
 * @returns From -1 to 1; NaN when a list is constant or holds a number that is not finite. Throws OptionError unless both
 *   lists hold equally many numbers, two or more.
 */
export function pearsonCorrelation(x: ArrayLike<number>, y: ArrayLike<number>): number {
  checkLengths(x, y);
  if (isConstant(x) || isConstant(y)) return Number.NaN;
  const [xDeviations, yDeviations] = [deviations(x), deviations(y)];
  const [xNorm, yNorm] = [norm(xDeviations), norm(yDeviations)];
  let correlation = 0;
  for (let row = 0; row < x.length; row++) correlation += (xDeviations[row]! / xNorm) * (yDeviations[row]! / yNorm);
  correlation = Math.min(1, Math.max(-1, correlation));
  // Two points lie on a line.
  return x.length === 2 ? Math.round(correlation) : correlation;
}

/**
 * Spearman's correlation: Pearson's of the ranks, where equal numbers share the mean of their ranks. It is computed from
 * the covariance, in the order of numpy's `corrcoef`: up to 100,000 rows every digit is scipy's `spearmanr`'s.
 *
 * @returns From -1 to 1; NaN when a list is constant or holds NaN. Throws OptionError unless both lists hold equally many
 *   numbers, two or more.
 */
export function spearmanCorrelation(x: ArrayLike<number>, y: ArrayLike<number>): number {
  checkLengths(x, y);
  if (isConstant(x) || isConstant(y) || hasNaN(x) || hasNaN(y)) return Number.NaN;
  const [xDeviations, yDeviations] = [deviations(averageRanks(x)), deviations(averageRanks(y))];
  const share = 1 / (x.length - 1);
  const xSpread = Math.sqrt(dotProduct(xDeviations, xDeviations) * share);
  const ySpread = Math.sqrt(dotProduct(yDeviations, yDeviations) * share);
  const correlation = (dotProduct(xDeviations, yDeviations) * share) / ySpread / xSpread;
  return Math.min(1, Math.max(-1, correlation));
}

/**
 * The rank of every number, the smallest 1; equal numbers share the mean of their ranks.
 *
 * @param values Numbers, none of them NaN; may be infinite.
 */
export function averageRanks(values: ArrayLike<number>): Float64Array {
  const order = Uint32Array.from({ length: values.length }, (_, row) => row);
  // A difference would be NaN for two infinities.
  order.sort((left, right) => (values[left]! < values[right]! ? -1 : values[left]! > values[right]! ? 1 : 0));
  const ranks = new Float64Array(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let place = start; place < end; place++) ranks[order[place]!] = (start + 1 + end) / 2;
    start = end;
  }
  return ranks;
}

function checkLengths(x: ArrayLike<number>, y: ArrayLike<number>): void {
  if (x.length === y.length && x.length >= 2) return;
  throw new OptionError(
    "invalid-input",
    `A correlation was asked of ${x.length} and ${y.length} numbers; expected equally many, two or more.`,
    { x: x.length, y: y.length },
  );
}

function isConstant(values: ArrayLike<number>): boolean {
  for (let row = 1; row < values.length; row++) if (values[row] !== values[0]) return false;
  return true;
}

function hasNaN(values: ArrayLike<number>): boolean {
  for (let row = 0; row < values.length; row++) if (Number.isNaN(values[row]!)) return true;
  return false;
}

function deviations(values: ArrayLike<number>): Float64Array {
  let sum = 0;
  for (let row = 0; row < values.length; row++) sum += values[row]!;
  const mean = sum / values.length;
  const found = new Float64Array(values.length);
  for (let row = 0; row < values.length; row++) found[row] = values[row]! - mean;
  return found;
}

function norm(values: Float64Array): number {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  let sum = 0;
  for (const value of values) sum += (value / largest) ** 2;
  return largest * Math.sqrt(sum);
}

function dotProduct(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let row = 0; row < x.length; row++) sum += x[row]! * y[row]!;
  return sum;
}
