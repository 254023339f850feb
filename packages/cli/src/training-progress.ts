import { formatMagnitude, formatSeconds } from "./number-format.ts";

/** One update, as far as its progress is shown. */
export interface ProgressStep {
  readonly step: number;
  readonly maxSteps: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly pairsPerSecond: number;
  /** Rows of the bank that took part, where there is a bank. */
  readonly bankRows?: number | undefined;
}

/** Tells from the updates so far how long the rest will take. */
export class RemainingTime {
  #begun: number | undefined;

  /** Call when the first update begins. */
  begin(milliseconds: number): void {
    this.#begun = milliseconds;
  }

  /** Seconds until the last update ends, if it goes on like this; undefined before the first has ended. */
  seconds(step: number, maxSteps: number, milliseconds: number): number | undefined {
    if (this.#begun === undefined || step < 1) return undefined;
    return ((milliseconds - this.#begun) / 1000 / step) * (maxSteps - step);
  }
}

/**
 * A line such as "step 12 of 40  1 min 35 s left  loss 1.2345  33 pairs/s  learning rate 8e-5": what matters most comes
 * first, because a narrow terminal cuts the end.
 */
export function describeProgress(event: ProgressStep, remainingSeconds: number | undefined): string {
  const { step, maxSteps, loss, learningRate, pairsPerSecond, bankRows } = event;
  return [
    `step ${String(step).padStart(String(maxSteps).length)} of ${maxSteps}`,
    ...(remainingSeconds === undefined || step >= maxSteps ? [] : [`${formatSeconds(remainingSeconds)} left`]),
    `loss ${loss.toFixed(4)}`,
    `${pairsPerSecond.toFixed(pairsPerSecond < 10 ? 1 : 0)} pairs/s`,
    ...(bankRows === undefined ? [] : [`bank ${bankRows}`]),
    `learning rate ${formatMagnitude(learningRate)}`,
  ].join("  ");
}

/** A bar of `width` characters, `share` of it filled. */
export function drawBar(share: number, width: number): string {
  const filled = Math.round(Math.min(Math.max(share, 0), 1) * width);
  return "█".repeat(filled) + "░".repeat(width - filled);
}
