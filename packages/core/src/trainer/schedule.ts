import { OptionError } from "../errors.ts";

/** A learning rate for every update; `step` counts from 0. */
export type LearningRateSchedule = (step: number) => number;

/** What a linear schedule is made from. */
export interface LinearScheduleOptions {
  /** Highest learning rate, reached at update `warmupSteps`. */
  readonly learningRate: number;
  /** Updates in which the rate rises from 0. 0: it starts at its highest. */
  readonly warmupSteps: number;
  /** Updates of the whole run; the rate reaches 0 at this one, which is never taken. */
  readonly maxSteps: number;
}

/**
 * The Hugging Face Trainer's `linear` schedule (transformers, `get_linear_schedule_with_warmup`): at the 0-based update
 * t the rate is `learningRate * t / warmupSteps` while t < warmupSteps, then `learningRate * (maxSteps - t) /
 * (maxSteps - warmupSteps)`, never below 0. With a warm-up the first update therefore has rate 0: it changes no weight
 * but fills the optimizer's moments. Computed in the reference's order of operations, so that rates are bit-equal.
 *
 * @throws OptionError when a count is not a whole number from 0.
 */
export function linearSchedule({ learningRate, warmupSteps, maxSteps }: LinearScheduleOptions): LearningRateSchedule {
  for (const [option, value] of Object.entries({ warmupSteps, maxSteps })) {
    if (!Number.isInteger(value) || value < 0) {
      throw new OptionError(
        "invalid-option",
        `linearSchedule: ${option} is ${value}; expected a whole number of updates from 0. Shares of a run are resolved by countSteps.`,
        { option, value },
      );
    }
  }
  return (step) => {
    const factor =
      step < warmupSteps
        ? step / Math.max(1, warmupSteps)
        : Math.max(0, (maxSteps - step) / Math.max(1, maxSteps - warmupSteps));
    return learningRate * factor;
  };
}
