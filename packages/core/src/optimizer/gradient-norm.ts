/** Euclidean norm of all gradients together, summed in double precision. */
export function gradientNorm(gradients: Float32Array): number {
  let sum = 0;
  for (let index = 0; index < gradients.length; index++) sum += gradients[index]! * gradients[index]!;
  return Math.sqrt(sum);
}

/**
 * Factor that brings gradients of norm `norm` to at most `maximum`: min(1, maximum / (norm + 1e-6)), as PyTorch's
 * `clip_grad_norm_`. A maximum of 0 switches clipping off, as in Hugging Face's Trainer.
 */
export function clipFactor(norm: number, maximum: number): number {
  return maximum > 0 ? Math.min(1, maximum / (norm + 1e-6)) : 1;
}
