/** A source of standard normal variables (Box and Muller's transform of a 32-bit xorshift), the same for the same seed. */
export function normalNumbers(seed: number): () => number {
  let state = Math.imul(seed, 2654435761) | 1;
  const uniform = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) + 0.5) / 2 ** 32;
  };
  // Small seeds are alike at first.
  for (let drawn = 0; drawn < 20; drawn++) uniform();
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
