import type { Noise } from "./noise.ts";

/**
 * What the rounding of one stage does to a later one, in root mean square and to first order. NoiseFloor takes it as
 * `atLeast`: where one row dominates a batch, everything after its scores inherits one and the same rounding, and the
 * reference's float32 result can be close to float64 by luck, in all tensors at once.
 */

/** Noise of scores, scale * (u . v), from that of the unit vectors u and v: each adds scale * rms. */
export function noiseOfScores(embeddings: Noise, scale: number): number {
  return Math.SQRT2 * scale * embeddings.rms;
}

/**
 * Noise of a cross-entropy's mean over `rows` from that of its scores. A row's gradient with respect to its scores,
 * (softmax - one-hot) / rows, has a norm of at most sqrt(2) / rows; the rows are independent.
 */
export function noiseOfLoss(scores: Noise, rows: number): number {
  return Math.sqrt(2 / rows) * scores.rms;
}

/** Below this loss, nearly all of a gradient may be rounding; it is not excused any further. */
const leastLoss = 1e-4;

/**
 * Noise of gradients of a cross-entropy, of embeddings or weights, from that of the scores. A probability p = softmax(s)
 * changes by p * (ds - sum of p ds): the absolute noise of the scores is the relative one of what is proportional to p. And
 * where p is computed as exp(s - logsumexp), the positive's p - 1 is wrong by p times the rounding of the logsumexp, in
 * relation to 1 - p, which is about 1 - exp(-loss). Losses below 0.0001 count as 0.0001; a loss that is negative is no cross-entropy and gives no such excuse.
 *
 * @param scale Root mean square of the gradients (of the layer, for parameters).
 * @param loss The mean cross-entropy.
 */
export function noiseOfGradients(scores: Noise, scale: number, loss: number): number {
  return (scores.rms * scale) / (loss < 0 ? 1 : -Math.expm1(-Math.max(loss, leastLoss)));
}
