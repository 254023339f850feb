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
  const { warmupSteps, loggingSteps, evalSteps } = trainingArguments;
  return {
    batchesPerEpoch,
    updatesPerEpoch,
    epochs: isEpochBased ? Math.ceil(numTrainEpochs) : Math.ceil(maxSteps / updatesPerEpoch),
    maxSteps,
    warmupSteps:
      warmupSteps > 0 ? resolveSteps(warmupSteps, maxSteps) : Math.ceil(maxSteps * trainingArguments.warmupRatio),
    loggingSteps: resolveSteps(loggingSteps, maxSteps),
    evalSteps: resolveSteps(evalSteps ?? loggingSteps, maxSteps),
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

/**
 * Whether update `step` (from 1) is logged: every `loggingSteps`, and the first one with `loggingFirstStep`.
 */
export function isLoggingStep(
  step: number,
  { loggingSteps }: Pick<StepCounts, "loggingSteps">,
  { loggingFirstStep }: Pick<TrainingArguments, "loggingFirstStep">,
): boolean {
  return (step === 1 && loggingFirstStep) || step % loggingSteps === 0;
}

/**
 * Whether an evaluation follows update `step` (from 1): with `evalStrategy` "steps" every `evalSteps`, and the last one.
 */
export function isEvaluationStep(
  step: number,
  { evalSteps, maxSteps }: Pick<StepCounts, "evalSteps" | "maxSteps">,
  { evalStrategy }: Pick<TrainingArguments, "evalStrategy">,
): boolean {
  return evalStrategy === "steps" && (step % evalSteps === 0 || step >= maxSteps);
}
