import { join } from "node:path";
import type { Dataset } from "../data/dataset.ts";
import type { SentenceEncoder } from "../encoder/sentence-encoder.ts";
import { OptionError } from "../errors.ts";
import type { Evaluator } from "../evaluation/evaluator.ts";
import type { Loss } from "../loss/loss.ts";
import type { BatchSampler } from "../sampler/batch-sampler.ts";
import { NoDuplicatesBatchSampler } from "../sampler/no-duplicates-batch-sampler.ts";
import { RandomBatchSampler } from "../sampler/random-batch-sampler.ts";
import { parseTrainingArguments, type TrainingArguments, type TrainingArgumentsInput } from "./arguments.ts";
import type { BestEvaluation } from "./best-model.ts";
import type { TrainerCallback, TrainerControl } from "./callbacks.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { findCheckpoint, listCheckpoints, tidyCheckpoints } from "./checkpoint-folders.ts";
import { EventLogWriter } from "./event-log.ts";
import { describeRun, type RunIdentity, showDifference } from "./run-identity.ts";
import { createSchedule } from "./schedule.ts";
import { countSteps } from "./step-counts.ts";
import { type RunWarning, TrainingRun, versions } from "./training-run.ts";

export interface TrainerOptions {
  readonly encoder: SentenceEncoder;
  readonly loss: Loss;
  /** Rows to train on: columns in the order anchor, positive, negatives. */
  readonly trainDataset: Dataset;
  /** Rows whose loss is computed at each evaluation. */
  readonly evalDataset?: Dataset;
  /** Measures the model at each evaluation. */
  readonly evaluator?: Evaluator;
  readonly arguments?: TrainingArgumentsInput;
  readonly callbacks?: readonly TrainerCallback[];
  /** Which rows make each batch. Default: what `arguments.batchSampler` names. */
  readonly sampler?: BatchSampler;
  /** Train with the dropout that the model's config.json asks for. Default true, as in PyTorch. */
  readonly dropout?: boolean;
  /** Where the run saves its model when it ends, before `run-end` is written. Default: the caller saves it. */
  readonly modelFolder?: string;
}

/** How a run begins. */
export interface TrainOptions {
  /**
   * Go on from a checkpoint, exactly: its folder, or true for the newest whole one of `outputDir`. Events are appended to
   * the same events.jsonl. Default false.
   */
  readonly resumeFromCheckpoint?: boolean | string;
}

/** How a run ended. */
export interface TrainResult {
  /** `interrupted` when `stop` was called before the last update. */
  readonly reason: "completed" | "interrupted";
  /** Whether a callback, such as early stopping, ended the run before all updates were done. */
  readonly isStoppedEarly: boolean;
  /** Updates done. */
  readonly step: number;
  /** Mean loss of all updates. */
  readonly trainLoss: number;
  /** Seconds, evaluations included. */
  readonly trainRuntime: number;
  /** Metrics of each evaluation, in order. */
  readonly evaluations: readonly { readonly step: number; readonly metrics: Readonly<Record<string, number>> }[];
  /** The best evaluation, where `metricForBestModel` says what is best, and whether the run ended with its weights. */
  readonly bestModel?: BestEvaluation & { readonly metric: string; readonly isLoaded: boolean };
}

/**
 * Trains an encoder: batches from the sampler, the loss's gradient, clipping, AdamW, a schedule; logging,
 * evaluation and checkpoints at the steps where the Hugging Face Trainer has them. Everything that happens is an event in
 * `<outputDir>/events.jsonl`; checkpoints are `<outputDir>/checkpoint-<step>`.
 */
export class Trainer {
  readonly encoder: SentenceEncoder;
  readonly loss: Loss;
  readonly arguments: TrainingArguments;
  readonly #options: TrainerOptions;
  readonly #control: TrainerControl = { shouldStop: false };
  readonly #interruption = { isRequested: false };

  /** @throws OptionError for arguments that cannot be used, or data without a pair of columns. */
  constructor(options: TrainerOptions) {
    this.encoder = options.encoder;
    this.loss = options.loss;
    this.arguments = parseTrainingArguments(options.arguments ?? {});
    this.#options = options;
    const { columnNames } = options.trainDataset;
    if (columnNames.length < 2)
      throw new OptionError(
        "invalid-input",
        `The training data has one column (${columnNames.join(", ")}); ${options.loss.name} needs at least an anchor and a positive.`,
        { columnNames },
      );
    const { evalStrategy, learningRate, lrSchedulerType, lrSchedulerKwargs } = this.arguments;
    if (evalStrategy !== "no" && !options.evaluator && !options.evalDataset)
      throw new OptionError(
        "invalid-option",
        `evalStrategy is "${evalStrategy}", but there is neither an evaluator nor an evalDataset. Give one, or set evalStrategy to "no".`,
        { option: "evalStrategy", value: evalStrategy },
      );
    // What does not fit together is said before hours of work, not after.
    createSchedule({ type: lrSchedulerType, keywords: lrSchedulerKwargs, learningRate, warmupSteps: 0, maxSteps: 1 });
    for (const callback of options.callbacks ?? []) callback.checkArguments?.(this.arguments);
  }

  /**
   * Ends the run after the update at hand, with a checkpoint to go on from unless saveStrategy is "no". `train` then
   * returns with reason "interrupted".
   */
  stop(): void {
    this.#interruption.isRequested = true;
  }

  /**
   * Runs the training, from its first update or from a checkpoint. A run that was killed at any moment and resumed ends in
   * the same weights, bit for bit, as one that was not.
   *
   * @throws TrainingError "non-finite-loss" or "non-finite-gradient" before a broken update is made; "no-checkpoint",
   * "checkpoint-damaged" or "checkpoint-of-another-run" when it cannot be resumed; whatever else stops a run. The event log
   * then ends with `run-error` and `run-end`.
   */
  async train({ resumeFromCheckpoint = false }: TrainOptions = {}): Promise<TrainResult> {
    this.#control.shouldStop = false;
    this.#interruption.isRequested = false;
    const { trainDataset, evalDataset } = this.#options;
    const { outputDir, saveStrategy } = this.arguments;
    const counts = countSteps(trainDataset.length, this.arguments);
    const sampler = this.#options.sampler ?? (await this.#createSampler(trainDataset, "train"));
    const evalSampler = evalDataset && (await this.#createSampler(evalDataset, "eval"));
    const isResumed = resumeFromCheckpoint !== false;
    const identity = isResumed || saveStrategy !== "no" ? await this.#describe() : undefined;
    const warnings: RunWarning[] = [];
    const checkpoint = isResumed ? await this.#findCheckpoint(resumeFromCheckpoint, identity!, warnings) : undefined;
    if (!isResumed && saveStrategy !== "no") await this.#lookForEarlierCheckpoints(warnings);
    const log = new EventLogWriter(join(outputDir, "events.jsonl"));
    try {
      return await new TrainingRun(this.#options, {
        arguments: this.arguments,
        counts,
        sampler,
        evalSampler,
        log,
        control: this.#control,
        interruption: this.#interruption,
        identity,
        checkpoint,
        warnings,
      }).execute();
    } finally {
      log.close();
    }
  }

  #describe(): Promise<RunIdentity> {
    const { encoder, loss, trainDataset, evalDataset, evaluator, sampler, dropout = true } = this.#options;
    const parts = { encoder, loss, trainDataset, evalDataset, evaluator, sampler, dropout };
    return describeRun({ ...parts, arguments: this.arguments }, versions());
  }

  async #findCheckpoint(from: true | string, identity: RunIdentity, warnings: RunWarning[]): Promise<Checkpoint> {
    const found = await findCheckpoint(this.arguments.outputDir, from, identity);
    const { checkpoint, damaged, differences } = found;
    for (const { folder, message } of damaged)
      warnings.push({
        code: "checkpoint-damaged",
        message: `${folder} was passed over: ${message}`,
        facts: { folder },
      });
    if (differences.length > 0)
      warnings.push({
        code: "resumed-with-differences",
        message: `The run goes on with other settings than it had, none of which changes an update: ${differences.map(showDifference).join("; ")}.`,
        facts: { folder: checkpoint.folder },
      });
    return checkpoint;
  }

  async #lookForEarlierCheckpoints(warnings: RunWarning[]): Promise<void> {
    const { outputDir } = this.arguments;
    await tidyCheckpoints(outputDir);
    const earlier = (await listCheckpoints(outputDir)).map(({ folder }) => folder);
    if (earlier.length === 0) return;
    warnings.push({
      code: "checkpoints-of-an-earlier-run",
      message: `A new run begins beside ${earlier.length === 1 ? "a checkpoint" : `${earlier.length} checkpoints`} of an earlier one (${earlier.at(-1)} is the last). It replaces those of the same step. To go on with the earlier run, pass resumeFromCheckpoint: true.`,
      facts: { folders: earlier },
    });
  }

  #createSampler(dataset: Dataset, use: "train" | "eval"): Promise<BatchSampler> | BatchSampler {
    const { perDeviceTrainBatchSize, perDeviceEvalBatchSize, dataloaderDropLast, seed, batchSampler } = this.arguments;
    const options = {
      batchSize: use === "train" ? perDeviceTrainBatchSize : perDeviceEvalBatchSize,
      dropLast: dataloaderDropLast,
      seed,
    };
    return batchSampler === "no_duplicates"
      ? NoDuplicatesBatchSampler.create(dataset, options)
      : new RandomBatchSampler(dataset.length, options);
  }
}
