import type { DropoutKey } from "../encoder/dropout.ts";
import type { SentenceEncoder } from "../encoder/sentence-encoder.ts";
import type { Batch, Loss, LossObserver } from "../loss/loss.ts";
import type { AdamW } from "../optimizer/adamw.ts";
import { clipFactor, gradientNorm } from "../optimizer/gradient-norm.ts";

export interface WeightUpdateOptions {
  /** Largest norm of all gradients together; longer ones are scaled down to it. 0: not clipped. */
  readonly maxGradNorm: number;
}

/** How one batch takes part in an update. */
export interface UpdateBatchOptions {
  /** Batches of the update: the gradient is the mean of theirs. */
  readonly batches: number;
  /** Draw dropout masks with this key; absent: no dropout. */
  readonly dropout?: DropoutKey | undefined;
  readonly observer?: LossObserver | undefined;
}

/** What an update did. */
export interface AppliedUpdate {
  /** Norm of all gradients before clipping. */
  readonly gradNorm: number;
  /** What the gradients were multiplied by; 1 where they were not clipped. */
  readonly clipFactor: number;
}

/**
 * One update of the weights, taken apart: `zeroGradients`, `forwardBackward` for each batch of the accumulation group,
 * `apply`. The trainer and the lockstep comparison both go through it.
 */
export class WeightUpdate {
  readonly #encoder: SentenceEncoder;
  readonly #loss: Loss;
  readonly #optimizer: AdamW;
  readonly #maxGradNorm: number;

  constructor(encoder: SentenceEncoder, loss: Loss, optimizer: AdamW, options: WeightUpdateOptions) {
    this.#encoder = encoder;
    this.#loss = loss;
    this.#optimizer = optimizer;
    this.#maxGradNorm = options.maxGradNorm;
  }

  /** Begins an update. */
  zeroGradients(): void {
    this.#encoder.parameters.zeroGradients();
  }

  /**
   * Adds a batch's share to the gradients.
   * @returns the batch's loss, not divided by `batches`.
   * @throws OptionError "invalid-input" for a batch that the loss cannot take.
   */
  forwardBackward(batch: Batch, { batches, dropout, observer }: UpdateBatchOptions): Promise<number> {
    return this.#loss.forwardBackward(this.#encoder, batch, { gradientScale: 1 / batches, dropout, observer });
  }

  /** Euclidean norm of all gradients together, as they are now. */
  gradientNorm(): number {
    return gradientNorm(this.#encoder.parameters.gradients);
  }

  /**
   * Clips, changes the weights and tells the loss.
   * @param gradNorm the gradients' norm where it is known already. Default: computed.
   */
  apply(learningRate: number, gradNorm = this.gradientNorm()): AppliedUpdate {
    const factor = clipFactor(gradNorm, this.#maxGradNorm);
    this.#optimizer.step(learningRate, factor);
    this.#loss.onOptimizerStep();
    return { gradNorm, clipFactor: factor };
  }
}
