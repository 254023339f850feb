import { OptionError } from "../errors.ts";
import type { TrainingArguments } from "./arguments.ts";

/** How many batches, updates and epochs a run has. An update is one step of the optimizer. */
export interface StepCounts {
  /** Batches of one pass over the data; the last may have fewer rows. */
  readonly batchesPerEpoch: number;
  /** Updates of one pass: groups of up to `gradientAccumulationSteps` batches. */
  readonly updatesPerEpoch: number;
  /** Passes that are begun. The last may end early, at `maxSteps`. */
  readonly epochs: number;
  /** Updates of the whole run. */
  readonly maxSteps: number;
  /** Updates in which the learning rate rises. */
  readonly warmupSteps: number;
  /** Updates between two log entries. */
  readonly loggingSteps: number;
  /** Updates between two evaluations. */
  readonly evalSteps: number;
  /** Updates between two checkpoints. */
  readonly saveSteps: number;
}

/** The arguments that step counts depend on. */
export type StepCountArguments = Pick<
  TrainingArguments,
  | "perDeviceTrainBatchSize"
  | "dataloaderDropLast"
  | "gradientAccumulationSteps"
  | "numTrainEpochs"
  | "maxSteps"
  | "warmupRatio"
  | "warmupSteps"
  | "loggingSteps"
  | "evalSteps"
  | "saveSteps"
>;

/** Batches whose gradients make one update. */
export interface AccumulationGroup {
  /** Index of its first batch within the epoch, from 0. */
  readonly firstBatch: number;
  /** Number of its batches; each batch's loss is divided by it. */
  readonly size: number;
}

/**
 * Counts batches, updates and epochs as the Hugging Face Trainer does (transformers 5.23,
 * `Trainer.set_initial_training_values`, `TrainingArguments.get_warmup_steps`, `TrainerState.compute_steps`).
 *
 * @param rows Number of training rows.
 * @throws OptionError code "invalid-input" when there is no row, "invalid-option" when not one whole batch can be made.
 */
export function countSteps(rows: number, trainingArguments: StepCountArguments): StepCounts {
  const { perDeviceTrainBatchSize, dataloaderDropLast, gradientAccumulationSteps, numTrainEpochs } = trainingArguments;
  if (!Number.isInteger(rows) || rows < 1) {
    throw new OptionError("invalid-input", `The training data has ${rows} rows; training needs at least one.`, {
      rows,
    });
  }
  const batchesPerEpoch = dataloaderDropLast
    ? Math.floor(rows / perDeviceTrainBatchSize)
    : Math.ceil(rows / perDeviceTrainBatchSize);
  if (batchesPerEpoch === 0) {
    throw new OptionError(
      "invalid-option",
      `The training data has ${rows} rows, perDeviceTrainBatchSize is ${perDeviceTrainBatchSize} and dataloaderDropLast is true, ` +
        `so there is no whole batch. Lower perDeviceTrainBatchSize to at most ${rows} or set dataloaderDropLast to false.`,
      { option: "dataloaderDropLast", rows, perDeviceTrainBatchSize },
    );
  }
  const updatesPerEpoch = Math.ceil(batchesPerEpoch / gradientAccumulationSteps);
  const isEpochBased = trainingArguments.maxSteps < 0;
  const maxSteps = isEpochBased ? Math.ceil(numTrainEpochs * updatesPerEpoch) : trainingArguments.maxSteps;
  const { warmupSteps, loggingSteps, evalSteps, saveSteps } = trainingArguments;
  return {
    batchesPerEpoch,
    updatesPerEpoch,
    epochs: isEpochBased ? Math.ceil(numTrainEpochs) : Math.ceil(maxSteps / updatesPerEpoch),
    maxSteps,
    warmupSteps:
      warmupSteps > 0 ? resolveSteps(warmupSteps, maxSteps) : Math.ceil(maxSteps * trainingArguments.warmupRatio),
    loggingSteps: resolveSteps(loggingSteps, maxSteps),
    evalSteps: resolveSteps(evalSteps ?? loggingSteps, maxSteps),
    saveSteps: resolveSteps(saveSteps, maxSteps),
  };
}

/** A number of updates as given, or, below 1, that share of `maxSteps`, rounded up. */
export function resolveSteps(given: number, maxSteps: number): number {
  return given < 1 ? Math.ceil(maxSteps * given) : given;
}

/**
 * The batches of one epoch, in groups of `gradientAccumulationSteps`. Groups never span epochs: the last one of an
 * epoch may be smaller, and its losses are divided by its own size.
 */
export function accumulationGroups(batchesPerEpoch: number, gradientAccumulationSteps: number): AccumulationGroup[] {
  const groups: AccumulationGroup[] = [];
  for (let firstBatch = 0; firstBatch < batchesPerEpoch; firstBatch += gradientAccumulationSteps) {
    groups.push({ firstBatch, size: Math.min(gradientAccumulationSteps, batchesPerEpoch - firstBatch) });
  }
  return groups;
}

/**
 * The fractional epoch that log entries carry after a batch: passes done, plus the share of this pass.
 *
 * @param epoch Pass, from 0.
 * @param batch Batch within the pass, from 0.
 */
export function epochAfterBatch(epoch: number, batch: number, batchesPerEpoch: number): number {
  return epoch + (batch + 1) / batchesPerEpoch;
}

/** What follows an update, or the end of an epoch. */
export interface DueActions {
  readonly log: boolean;
  readonly evaluate: boolean;
  readonly save: boolean;
}

/** The arguments that say what is due when. */
export type DueArguments = Pick<
  TrainingArguments,
  "loggingStrategy" | "loggingFirstStep" | "evalStrategy" | "evalDelay" | "saveStrategy"
>;

/**
 * What follows update `step` (from 1), as transformers' `DefaultFlowCallback.on_step_end`: with strategy "steps" a log
 * entry, an evaluation or a checkpoint every so many updates; the last update is always evaluated and saved.
 */
export function dueAfterStep(
  step: number,
  {
    loggingSteps,
    evalSteps,
    saveSteps,
    maxSteps,
  }: Pick<StepCounts, `${"logging" | "eval" | "save"}Steps` | "maxSteps">,
  { loggingStrategy, loggingFirstStep, evalStrategy, evalDelay, saveStrategy }: DueArguments,
): DueActions {
  const isLast = step >= maxSteps;
  return {
    log: (step === 1 && loggingFirstStep) || (loggingStrategy === "steps" && step % loggingSteps === 0),
    evaluate: evalStrategy === "steps" && step >= evalDelay && (step % evalSteps === 0 || isLast),
    save: saveStrategy === "steps" && (step % saveSteps === 0 || isLast),
  };
}

/**
 * What follows the end of an epoch, or of the run inside one, as `DefaultFlowCallback.on_epoch_end`.
 *
 * @param epoch Passes over the data done, with a fraction.
 */
export function dueAfterEpoch(
  epoch: number,
  { loggingStrategy, evalStrategy, evalDelay, saveStrategy }: DueArguments,
): DueActions {
  return {
    log: loggingStrategy === "epoch",
    evaluate: evalStrategy === "epoch" && epoch >= evalDelay,
    save: saveStrategy === "epoch",
  };
}
