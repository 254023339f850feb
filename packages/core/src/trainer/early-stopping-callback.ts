import { z } from "zod";
import { OptionError } from "../errors.ts";
import type { TrainingArguments } from "./arguments.ts";
import { findMetric, isBetter } from "./best-model.ts";
import type { TrainerCallback, TrainerControl, TrainerProgress } from "./callbacks.ts";
import type { EventOfType } from "./events.ts";

export interface EarlyStoppingOptions {
  /** Evaluations without improvement after which the run ends. Default 1. */
  readonly earlyStoppingPatience?: number;
  /** How much better than the best so far an evaluation must be to count as an improvement. Default 0. */
  readonly earlyStoppingThreshold?: number;
}

const stateSchema = z.object({ attributes: z.object({ early_stopping_patience_counter: z.int().min(0) }) });

/**
 * Ends a run when `metricForBestModel` has not improved for some evaluations: transformers' `EarlyStoppingCallback`. Use it
 * with `loadBestModelAtEnd`, else the run ends with the weights of its last update.
 */
export class EarlyStoppingCallback implements TrainerCallback {
  readonly name = "EarlyStoppingCallback";
  readonly patience: number;
  readonly threshold: number;
  #metric = "loss";
  #greaterIsBetter = false;
  /** Evaluations since the last improvement. */
  #counter = 0;

  /** @throws OptionError "invalid-option". */
  constructor(options: EarlyStoppingOptions = {}) {
    const { earlyStoppingPatience = 1, earlyStoppingThreshold = 0 } = options;
    if (!Number.isInteger(earlyStoppingPatience) || earlyStoppingPatience < 1)
      refuse("earlyStoppingPatience", earlyStoppingPatience, "a whole number of evaluations from 1");
    if (!(earlyStoppingThreshold >= 0)) refuse("earlyStoppingThreshold", earlyStoppingThreshold, "a number from 0");
    this.patience = earlyStoppingPatience;
    this.threshold = earlyStoppingThreshold;
  }

  /** @throws OptionError "invalid-option" without evaluations or without metricForBestModel. */
  checkArguments({ evalStrategy, metricForBestModel, greaterIsBetter }: TrainingArguments): void {
    if (evalStrategy === "no")
      throw new OptionError(
        "invalid-option",
        'EarlyStoppingCallback needs evaluations, but evalStrategy is "no". Set it to "steps" or "epoch".',
        { option: "evalStrategy", value: evalStrategy },
      );
    if (metricForBestModel === undefined)
      throw new OptionError(
        "invalid-option",
        'EarlyStoppingCallback needs metricForBestModel, which is not set. Set it, to "loss" for example, or set loadBestModelAtEnd.',
        { option: "metricForBestModel" },
      );
    this.#metric = metricForBestModel;
    this.#greaterIsBetter = greaterIsBetter ?? false;
  }

  onEvaluate({ bestMetric }: TrainerProgress, control: TrainerControl, event: EventOfType<"evaluation-end">): void {
    const value = findMetric(event.metrics, this.#metric);
    if (value === undefined) return;
    const isImprovement =
      bestMetric === undefined ||
      (isBetter(value, bestMetric, this.#greaterIsBetter) && Math.abs(value - bestMetric) > this.threshold);
    this.#counter = isImprovement ? 0 : this.#counter + 1;
    if (this.#counter >= this.patience) control.shouldStop = true;
  }

  state(): unknown {
    return {
      args: { early_stopping_patience: this.patience, early_stopping_threshold: this.threshold },
      attributes: { early_stopping_patience_counter: this.#counter },
    };
  }

  restore(state: unknown): void {
    this.#counter = stateSchema.parse(state).attributes.early_stopping_patience_counter;
  }
}

function refuse(option: string, value: number, expected: string): never {
  throw new OptionError("invalid-option", `EarlyStoppingCallback option ${option} is ${value}; expected ${expected}.`, {
    option,
    value,
    expected,
  });
}
