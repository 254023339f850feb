import { TrainingError } from "../errors.ts";
import type { TrainingArguments } from "./arguments.ts";
import type { EventOfType } from "./events.ts";

/** How a callback steers the run. The trainer looks at it after every hook. */
export interface TrainerControl {
  /**
   * Set to true to make the update at hand the run's last, as early stopping does: the run then ends as "completed", and
   * resuming it does not go on. To interrupt a run that is to go on later, call `Trainer.stop`.
   */
  shouldStop: boolean;
}

/** Where the run is when a hook is called. */
export interface TrainerProgress {
  /** Updates done. */
  readonly step: number;
  /** Updates of the whole run. */
  readonly maxSteps: number;
  /** Passes over the data done, with a fraction. */
  readonly epoch: number;
  /** Best value so far of `metricForBestModel`; undefined before the first evaluation. */
  readonly bestMetric?: number | undefined;
}

/**
 * Hooks into a training run, each optional and awaited before the run goes on. The order within one update is the
 * Hugging Face Trainer's: onOptimizerStep (weights changed, gradients still there), onStepEnd, then, where they are
 * due, onLog, onEvaluate and onSave.
 */
export interface TrainerCallback {
  /** Name under which checkpoints keep the callback's state. Needed with `state`. */
  readonly name?: string;
  /** Refuses arguments that it cannot work with: called when the trainer is made, which then throws what this throws. */
  checkArguments?(trainingArguments: TrainingArguments): void;
  /** What must be kept to go on from a checkpoint, as JSON. */
  state?(): unknown;
  /** Goes on from what `state` gave when the checkpoint was saved. */
  restore?(state: unknown): void;
  /** Before the first update, with the run's settings. */
  onTrainBegin?(
    progress: TrainerProgress,
    control: TrainerControl,
    event: EventOfType<"run-start">,
  ): void | Promise<void>;
  /** After the optimizer has changed the weights, before the gradients are cleared. */
  onOptimizerStep?(progress: TrainerProgress, control: TrainerControl): void | Promise<void>;
  /** At the end of every update. */
  onStepEnd?(progress: TrainerProgress, control: TrainerControl, event: EventOfType<"step-end">): void | Promise<void>;
  /** After a log entry. */
  onLog?(progress: TrainerProgress, control: TrainerControl, event: EventOfType<"log">): void | Promise<void>;
  /** After an evaluation. */
  onEvaluate?(
    progress: TrainerProgress,
    control: TrainerControl,
    event: EventOfType<"evaluation-end">,
  ): void | Promise<void>;
  /** After a checkpoint or the model lies completely on disk. */
  onSave?(
    progress: TrainerProgress,
    control: TrainerControl,
    event: EventOfType<"checkpoint-saved">,
  ): void | Promise<void>;
  /** After the last update, however the run ended. */
  onTrainEnd?(progress: TrainerProgress, control: TrainerControl, event: EventOfType<"run-end">): void | Promise<void>;
}

/** Name of a hook. */
export type TrainerHook = Extract<keyof TrainerCallback, `on${string}`>;

/**
 * Calls one hook of every callback that has it, in order, each awaited before the next.
 *
 * @throws TrainingError code "callback-failed" when one throws: names the hook, the callback's place and the step.
 */
export async function notifyCallbacks<Hook extends TrainerHook>(
  callbacks: readonly TrainerCallback[],
  hook: Hook,
  ...values: Parameters<NonNullable<TrainerCallback[Hook]>>
): Promise<void> {
  for (const [index, callback] of callbacks.entries()) {
    const call = callback[hook] as ((...values: unknown[]) => void | Promise<void>) | undefined;
    if (call === undefined) continue;
    try {
      await call.apply(callback, values);
    } catch (cause) {
      const { step } = values[0];
      throw new TrainingError(
        "callback-failed",
        `Callback ${index + 1} of ${callbacks.length} threw in ${hook} at step ${step}: ` +
          `${cause instanceof Error ? cause.message : String(cause)}. Mend it, or catch inside it what must not end the run.`,
        { hook, callback: index, step },
        { cause },
      );
    }
  }
}
