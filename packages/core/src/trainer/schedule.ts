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

/** Names of the schedules, as in transformers' `SchedulerType`. */
export const schedulerTypes = [
  "linear",
  "cosine",
  "cosine_with_restarts",
  "polynomial",
  "constant",
  "constant_with_warmup",
  "inverse_sqrt",
] as const;

export type SchedulerType = (typeof schedulerTypes)[number];

/** More settings of some schedules, transformers' `lr_scheduler_kwargs`. */
export interface SchedulerKeywords {
  /** cosine: waves, default 0.5 (one fall to 0). cosine_with_restarts: falls, each from the highest rate; default 1. */
  readonly numCycles?: number | undefined;
  /** polynomial: exponent. Default 1. */
  readonly power?: number | undefined;
  /** polynomial: rate at the end, below learningRate. Default 1e-7. */
  readonly lrEnd?: number | undefined;
  /** inverse_sqrt: updates after which the rate has fallen to 1 / sqrt(2). Default warmupSteps, or 10000 without. */
  readonly timescale?: number | undefined;
}

/** What any schedule is made from. */
export interface ScheduleOptions extends LinearScheduleOptions {
  readonly type: SchedulerType;
  readonly keywords?: SchedulerKeywords | undefined;
}

/** Settings that each schedule knows. */
const knownKeywords: Readonly<Record<SchedulerType, readonly (keyof SchedulerKeywords)[]>> = {
  linear: [],
  cosine: ["numCycles"],
  cosine_with_restarts: ["numCycles"],
  polynomial: ["power", "lrEnd"],
  constant: [],
  constant_with_warmup: [],
  inverse_sqrt: ["timescale"],
};

/**
 * The schedule that transformers' `get_scheduler` makes. All but `constant` rise from 0 over the warm-up; then, with
 * p = (t - warmupSteps) / (maxSteps - warmupSteps):
 *
 * - linear: see `linearSchedule`;
 * - cosine: (1 + cos(2 pi numCycles p)) / 2;
 * - cosine_with_restarts: (1 + cos(pi (numCycles p mod 1))) / 2;
 * - polynomial: from learningRate to lrEnd by (1 - p)^power;
 * - constant, constant_with_warmup: 1;
 * - inverse_sqrt: 1 / sqrt((t - warmupSteps + timescale) / timescale).
 *
 * Computed in the reference's order of operations; only the cosine itself may differ, in its last bit.
 *
 * @throws OptionError when a count is not a whole number from 0, or a keyword belongs to another schedule.
 */
export function createSchedule({ type, keywords = {}, ...options }: ScheduleOptions): LearningRateSchedule {
  const { learningRate, warmupSteps, maxSteps } = options;
  checkKeywords(type, keywords, learningRate);
  if (type === "linear") return linearSchedule(options);
  checkCounts("createSchedule", { warmupSteps, maxSteps });
  if (type === "constant") return () => learningRate;
  const after = factorAfterWarmup(type, keywords, options);
  return (step) => learningRate * (step < warmupSteps ? step / Math.max(1, warmupSteps) : after(step));
}

function factorAfterWarmup(
  type: Exclude<SchedulerType, "linear" | "constant">,
  { numCycles, power = 1, lrEnd = 1e-7, timescale }: SchedulerKeywords,
  { learningRate, warmupSteps, maxSteps }: LinearScheduleOptions,
): (step: number) => number {
  const progress = (step: number) => (step - warmupSteps) / Math.max(1, maxSteps - warmupSteps);
  switch (type) {
    case "cosine": {
      const cycles = numCycles ?? 0.5;
      return (step) => Math.max(0, 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress(step))));
    }
    case "cosine_with_restarts": {
      const cycles = numCycles ?? 1;
      return (step) =>
        progress(step) >= 1 ? 0 : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * ((cycles * progress(step)) % 1))));
    }
    case "polynomial":
      return (step) => {
        if (step > maxSteps) return lrEnd / learningRate;
        const remaining = 1 - (step - warmupSteps) / (maxSteps - warmupSteps);
        return ((learningRate - lrEnd) * remaining ** power + lrEnd) / learningRate;
      };
    case "constant_with_warmup":
      return () => 1;
    case "inverse_sqrt": {
      const scale = timescale ?? (warmupSteps || 10_000);
      const shift = scale - warmupSteps;
      return (step) => 1 / Math.sqrt((step + shift) / scale);
    }
  }
}

function checkKeywords(type: SchedulerType, keywords: SchedulerKeywords, learningRate: number): void {
  const known: readonly string[] = knownKeywords[type];
  for (const [keyword, value] of Object.entries(keywords))
    if (value !== undefined && !known.includes(keyword))
      throw new OptionError(
        "invalid-option",
        `lrSchedulerKwargs.${keyword} is ${value}, but lrSchedulerType "${type}" takes ${known.length === 0 ? "no keywords" : `only ${known.join(", ")}`}. Leave it out or choose another schedule.`,
        { option: `lrSchedulerKwargs.${keyword}`, value, known },
      );
  const { lrEnd = 1e-7 } = keywords;
  if (type === "polynomial" && !(learningRate > lrEnd))
    throw new OptionError(
      "invalid-option",
      `lrSchedulerKwargs.lrEnd is ${lrEnd}; with lrSchedulerType "polynomial" it must be below learningRate, which is ${learningRate}.`,
      { option: "lrSchedulerKwargs.lrEnd", value: lrEnd, learningRate },
    );
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
  checkCounts("linearSchedule", { warmupSteps, maxSteps });
  return (step) => {
    const factor =
      step < warmupSteps
        ? step / Math.max(1, warmupSteps)
        : Math.max(0, (maxSteps - step) / Math.max(1, maxSteps - warmupSteps));
    return learningRate * factor;
  };
}

function checkCounts(where: string, counts: Readonly<Record<string, number>>): void {
  for (const [option, value] of Object.entries(counts)) {
    if (!Number.isInteger(value) || value < 0) {
      throw new OptionError(
        "invalid-option",
        `${where}: ${option} is ${value}; expected a whole number of updates from 0. Shares of a run are resolved by countSteps.`,
        { option, value },
      );
    }
  }
}
