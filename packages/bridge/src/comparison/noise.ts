/** How much rounding moves one tensor of the reference: its float32 result against its float64 one, element by element. */
export interface Noise {
  /** Largest |float32 - float64|. */
  readonly max: number;
  /** Root mean square of float32 - float64. */
  readonly rms: number;
}
