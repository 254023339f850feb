import { createRequire } from "node:module";
import { join } from "node:path";
import type { Dataset } from "../data/dataset.ts";
import type { DropoutKey } from "../encoder/dropout.ts";
import type { SentenceEncoder } from "../encoder/sentence-encoder.ts";
import { GradbankError, OptionError, TrainingError } from "../errors.ts";
import type { Evaluator } from "../evaluation/evaluator.ts";
import type { Batch, Loss, LossDiagnostics, LossObserver } from "../loss/loss.ts";
import type { BatchSampler } from "../sampler/batch-sampler.ts";
import { NoDuplicatesBatchSampler } from "../sampler/no-duplicates-batch-sampler.ts";
import { RandomBatchSampler } from "../sampler/random-batch-sampler.ts";
import { parseTrainingArguments, type TrainingArguments, type TrainingArgumentsInput } from "./arguments.ts";
import { notifyCallbacks, type TrainerCallback, type TrainerControl, type TrainerProgress } from "./callbacks.ts";
import { createAdamW } from "./create-adamw.ts";
import { EventLogWriter } from "./event-log.ts";
import { createEvent, type EventOfType, type TrainingEvent } from "./events.ts";
import { type LearningRateSchedule, linearSchedule } from "./schedule.ts";
import {
  accumulationGroups,
  countSteps,
  epochAfterBatch,
  isEvaluationStep,
  isLoggingStep,
  resolveSteps,
  type StepCounts,
} from "./step-counts.ts";
import { WeightUpdate } from "./weight-update.ts";

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
}

/** How a run ended. */
export interface TrainResult {
  /** `interrupted` when `stop` was called or a callback asked for it. */
  readonly reason: "completed" | "interrupted";
  /** Updates done. */
  readonly step: number;
  /** Mean loss of all updates. */
  readonly trainLoss: number;
  /** Seconds, evaluations included. */
  readonly trainRuntime: number;
  /** Metrics of each evaluation, in order. */
  readonly evaluations: readonly { readonly step: number; readonly metrics: Readonly<Record<string, number>> }[];
}

/** Sums over a run or a part of it. */
interface Means {
  loss: number;
  updates: number;
}

/**
 * Trains an encoder: batches from the sampler, the loss's gradient, clipping, AdamW, a schedule; logging and
 * evaluation at the steps where the Hugging Face Trainer has them. Everything that happens is an event in
 * `<outputDir>/events.jsonl`.
 */
export class Trainer {
  readonly encoder: SentenceEncoder;
  readonly loss: Loss;
  readonly arguments: TrainingArguments;
  readonly #options: TrainerOptions;
  readonly #control: TrainerControl = { shouldStop: false };

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
    if (this.arguments.evalStrategy !== "no" && !options.evaluator && !options.evalDataset)
      throw new OptionError(
        "invalid-option",
        `evalStrategy is "${this.arguments.evalStrategy}", but there is neither an evaluator nor an evalDataset. Give one, or set evalStrategy to "no".`,
        { option: "evalStrategy", value: this.arguments.evalStrategy },
      );
  }

  /** Ends the run after the update at hand. `train` then returns with reason "interrupted". */
  stop(): void {
    this.#control.shouldStop = true;
  }

  /**
   * Runs the training from its first update.
   * @throws TrainingError "non-finite-loss" or "non-finite-gradient" before a broken update is made; whatever else
   * stops a run. The event log then ends with `run-error` and `run-end`.
   */
  async train(): Promise<TrainResult> {
    this.#control.shouldStop = false;
    const { trainDataset } = this.#options;
    const counts = countSteps(trainDataset.length, this.arguments);
    const sampler = this.#options.sampler ?? (await this.#createSampler(trainDataset, "train"));
    const log = new EventLogWriter(join(this.arguments.outputDir, "events.jsonl"));
    const run = new Run(this.#options, this.arguments, counts, sampler, log, this.#control);
    try {
      return await run.execute(
        this.#options.evalDataset && (await this.#createSampler(this.#options.evalDataset, "eval")),
      );
    } finally {
      log.close();
    }
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

/** One run of a trainer: what changes while it goes on. */
class Run {
  readonly #options: TrainerOptions;
  readonly #arguments: TrainingArguments;
  readonly #counts: StepCounts;
  readonly #sampler: BatchSampler;
  readonly #log: EventLogWriter;
  readonly #control: TrainerControl;
  readonly #callbacks: readonly TrainerCallback[];
  readonly #weightUpdate: WeightUpdate;
  readonly #learningRate: LearningRateSchedule;
  readonly #started = performance.now();
  readonly #total: Means = { loss: 0, updates: 0 };
  readonly #sinceLog: Means = { loss: 0, updates: 0 };
  readonly #evaluations: { step: number; metrics: Record<string, number> }[] = [];
  readonly #bankDriftSteps: number;
  #evalSampler: BatchSampler | undefined;
  #step = 0;
  #epoch = 0;
  #rows = 0;
  /** Forward passes so far: each draws its own dropout masks. */
  #batches = 0;

  constructor(
    options: TrainerOptions,
    trainingArguments: TrainingArguments,
    counts: StepCounts,
    sampler: BatchSampler,
    log: EventLogWriter,
    control: TrainerControl,
  ) {
    this.#options = options;
    this.#arguments = trainingArguments;
    this.#counts = counts;
    this.#sampler = sampler;
    this.#log = log;
    this.#control = control;
    this.#callbacks = options.callbacks ?? [];
    const { learningRate, maxGradNorm } = trainingArguments;
    const optimizer = createAdamW(options.encoder, trainingArguments);
    this.#weightUpdate = new WeightUpdate(options.encoder, options.loss, optimizer, { maxGradNorm });
    this.#bankDriftSteps = resolveSteps(
      trainingArguments.bankDriftSteps ?? trainingArguments.loggingSteps,
      counts.maxSteps,
    );
    this.#learningRate = linearSchedule({ learningRate, warmupSteps: counts.warmupSteps, maxSteps: counts.maxSteps });
  }

  async execute(evalSampler: BatchSampler | undefined): Promise<TrainResult> {
    this.#evalSampler = evalSampler;
    try {
      this.#allocateBanks();
      const begin = this.#write("run-start", this.#description());
      await this.#notify("onTrainBegin", begin);
      if (this.#arguments.evalOnStart) await this.#evaluate();
      for (let epoch = 0; epoch < this.#counts.epochs && !this.#isOver(); epoch++) await this.#runEpoch(epoch);
      const reason = this.#step < this.#counts.maxSteps ? "interrupted" : "completed";
      return await this.#end(reason);
    } catch (error) {
      await this.#fail(error);
      throw error;
    }
  }

  async #runEpoch(epoch: number): Promise<void> {
    const batches = this.#sampler.batches(epoch)[Symbol.iterator]();
    // A sampler may give more batches than its length; the epoch ends after so many.
    const { batchesPerEpoch } = this.#counts;
    for (const group of accumulationGroups(batchesPerEpoch, this.#arguments.gradientAccumulationSteps)) {
      const rows: Int32Array[] = [];
      for (let batch = 0; batch < group.size; batch++) {
        const next = batches.next();
        if (next.done) break;
        rows.push(next.value);
      }
      if (rows.length === 0) return;
      const lastBatch = group.firstBatch + rows.length - 1;
      await this.#update(rows, epochAfterBatch(epoch, lastBatch, batchesPerEpoch));
      if (this.#isOver()) return;
    }
  }

  /** One update of the weights from a group of batches. */
  async #update(group: readonly Int32Array[], epoch: number): Promise<void> {
    const { encoder, loss } = this.#options;
    const timings = { read: 0, tokenize: 0, gradients: 0, optimizer: 0 };
    const started = performance.now();
    this.#weightUpdate.zeroGradients();
    let sum = 0;
    let diagnostics: LossDiagnostics | undefined;
    const observer: LossObserver = {
      onDiagnostics: (given) => {
        diagnostics = given;
      },
    };
    for (const rows of group) {
      const batch = await this.#readBatch(this.#options.trainDataset, rows, timings);
      const value = await timed(timings, "gradients", () =>
        this.#weightUpdate.forwardBackward(batch, {
          batches: group.length,
          dropout: this.#dropoutKey(),
          observer,
        }),
      );
      this.#batches++;
      this.#requireFinite("loss", value, rows);
      sum += value;
    }
    const { gradNorm, learningRate } = await timed(timings, "optimizer", async () => {
      const gradNorm = this.#weightUpdate.gradientNorm();
      this.#requireFinite("gradient", gradNorm, group[0]!);
      const learningRate = this.#learningRate(this.#step);
      this.#weightUpdate.apply(learningRate, gradNorm);
      return { gradNorm, learningRate };
    });

    this.#step++;
    this.#epoch = epoch;
    const rows = group.reduce((count, batch) => count + batch.length, 0);
    this.#rows += rows;
    await this.#notify("onOptimizerStep");
    const meanLoss = sum / group.length;
    for (const means of [this.#total, this.#sinceLog]) {
      means.loss += meanLoss;
      means.updates++;
    }
    const seconds = (performance.now() - started) / 1000;
    const end = this.#write("step-end", {
      epoch,
      loss: meanLoss,
      learningRate,
      gradNorm,
      pairsPerSecond: rows / seconds,
      timings,
      ...describeDiagnostics(diagnostics),
    });
    await this.#notify("onStepEnd", end);
    if (loss.banks.length > 0 && this.#step % this.#bankDriftSteps === 0) {
      const drift = await loss.measureBankDrift(encoder);
      if (drift) this.#write("bank-drift", { ...drift });
    }
    if (isLoggingStep(this.#step, this.#counts, this.#arguments)) {
      const { loss: total, updates } = this.#sinceLog;
      Object.assign(this.#sinceLog, { loss: 0, updates: 0 });
      await this.#notify("onLog", this.#write("log", { epoch, loss: total / updates, gradNorm, learningRate }));
    }
    if (isEvaluationStep(this.#step, this.#counts, this.#arguments)) await this.#evaluate();
  }

  async #evaluate(): Promise<void> {
    const { encoder, evaluator } = this.#options;
    const started = performance.now();
    const metrics: Record<string, number> = {};
    if (this.#evalSampler) metrics.eval_loss = await this.#evaluateLoss(this.#evalSampler);
    if (evaluator)
      Object.assign(
        metrics,
        await evaluator.evaluate(encoder, {
          outputPath: join(this.#arguments.outputDir, "eval"),
          epoch: this.#epoch,
          steps: this.#step,
        }),
      );
    this.#evaluations.push({ step: this.#step, metrics });
    const event = this.#write("evaluation-end", {
      epoch: this.#epoch,
      metrics,
      ...(evaluator ? { primaryMetric: evaluator.primaryMetric } : {}),
      evalRuntime: (performance.now() - started) / 1000,
    });
    await this.#notify("onEvaluate", event);
  }

  /** Mean of the batches' losses, weighted by rows. */
  async #evaluateLoss(sampler: BatchSampler): Promise<number> {
    const { encoder, loss, evalDataset } = this.#options;
    let [sum, rows, done] = [0, 0, 0];
    for (const batch of sampler.batches(0)) {
      if (done++ >= sampler.length) break;
      sum += batch.length * (await loss.evaluate(encoder, await this.#readBatch(evalDataset!, batch)));
      rows += batch.length;
    }
    return sum / rows;
  }

  async #readBatch(
    dataset: Dataset,
    rows: Int32Array,
    timings: Record<"read" | "tokenize", number> = { read: 0, tokenize: 0 },
  ): Promise<Batch> {
    const texts = await timed(timings, "read", () => dataset.readRows(rows));
    const columns = await timed(timings, "tokenize", async () =>
      dataset.columnNames.map((_, column) => this.#options.encoder.tokenize(texts.map((row) => row[column]!))),
    );
    return { columns };
  }

  #dropoutKey(): DropoutKey | undefined {
    return (this.#options.dropout ?? true) ? { seed: this.#arguments.seed, step: this.#batches } : undefined;
  }

  #requireFinite(what: "loss" | "gradient", value: number, rows: Int32Array): void {
    if (Number.isFinite(value)) return;
    throw new TrainingError(
      `non-finite-${what}`,
      `The ${what === "loss" ? "loss" : "gradient's norm"} of update ${this.#step + 1} is ${value}. The weights are those of update ${this.#step}. Rows of the batch: ${[...rows.slice(0, 8)].join(", ")}${rows.length > 8 ? ", ..." : ""}. Lower learningRate, or look at these rows.`,
      { step: this.#step + 1, value, rows: [...rows] },
    );
  }

  #isOver(): boolean {
    return this.#control.shouldStop || this.#step >= this.#counts.maxSteps;
  }

  async #end(reason: "completed" | "interrupted"): Promise<TrainResult> {
    const event = this.#write("run-end", this.#summary(reason));
    await this.#notify("onTrainEnd", event);
    return {
      reason,
      step: this.#step,
      trainLoss: event.totals.trainLoss,
      trainRuntime: event.totals.trainRuntime,
      evaluations: this.#evaluations,
    };
  }

  async #fail(error: unknown): Promise<void> {
    const known = GradbankError.isInstance(error);
    try {
      this.#write("run-error", {
        name: error instanceof Error ? error.name : "Error",
        message: error instanceof Error ? error.message : String(error),
        ...(known ? { code: error.code, facts: { ...error.facts } } : {}),
        ...(error instanceof Error && error.stack ? { stack: error.stack } : {}),
      });
      await this.#notify("onTrainEnd", this.#write("run-end", this.#summary("failed")));
    } catch {
      // The error at hand says more than that its report could not be written (a full disk has often caused both).
    }
  }

  #summary(
    reason: EventOfType<"run-end">["reason"],
  ): Omit<EventOfType<"run-end">, "type" | "version" | "time" | "step"> {
    const trainRuntime = (performance.now() - this.#started) / 1000;
    return {
      epoch: this.#epoch,
      reason,
      totals: {
        trainRuntime,
        trainSamplesPerSecond: this.#rows / trainRuntime,
        trainStepsPerSecond: this.#step / trainRuntime,
        trainLoss: this.#total.updates > 0 ? this.#total.loss / this.#total.updates : Number.NaN,
      },
    };
  }

  #allocateBanks(): void {
    const { loss, encoder, trainDataset } = this.#options;
    for (const bank of loss.banks)
      bank.allocate(trainDataset.columnNames.length, encoder.dimension, this.#arguments.perDeviceTrainBatchSize);
  }

  #description() {
    const { encoder, loss, trainDataset, evalDataset } = this.#options;
    const trained = [...encoder.parameters].filter(({ name }) => encoder.trainedParameters.has(name));
    return {
      arguments: { ...this.#arguments },
      loss: { name: loss.name, options: { ...loss.configuration } },
      data: {
        trainRows: trainDataset.length,
        evalRows: evalDataset?.length ?? 0,
        columns: [...trainDataset.columnNames],
      },
      model: {
        name: encoder.name,
        architecture: encoder.architecture.modelType,
        embeddingDimension: encoder.dimension,
        parameterCount: trained.reduce((sum, { size }) => sum + size, 0),
      },
      ...(loss.banks.length > 0 ? { banks: loss.banks.map(({ capacity, bytes }) => ({ capacity, bytes })) } : {}),
      device: encoder.programs.runtime.device,
      versions: versions(),
      maxSteps: this.#counts.maxSteps,
      batchesPerEpoch: this.#counts.batchesPerEpoch,
      updatesPerEpoch: this.#counts.updatesPerEpoch,
      warmupSteps: this.#counts.warmupSteps,
    };
  }

  #progress(): TrainerProgress {
    return { step: this.#step, maxSteps: this.#counts.maxSteps, epoch: this.#epoch };
  }

  #write<Type extends TrainingEvent["type"]>(
    type: Type,
    fields: Omit<EventOfType<Type>, "type" | "version" | "time" | "step">,
  ): EventOfType<Type> {
    const event = createEvent(type, this.#step, fields);
    this.#log.append(event);
    return event;
  }

  #notify(hook: "onOptimizerStep"): Promise<void>;
  #notify(hook: Exclude<keyof TrainerCallback, "onOptimizerStep">, event: TrainingEvent): Promise<void>;
  #notify(hook: keyof TrainerCallback, event?: TrainingEvent): Promise<void> {
    return notifyCallbacks(this.#callbacks, hook, this.#progress(), this.#control, event as never);
  }
}

function describeDiagnostics(
  diagnostics: LossDiagnostics | undefined,
): Pick<EventOfType<"step-end">, "gradientNorms" | "bank"> {
  if (!diagnostics) return {};
  const { queryGradientNorm, documentGradientNorm, gradientNormRatio, bank } = diagnostics;
  return {
    gradientNorms: { queries: queryGradientNorm, documents: documentGradientNorm, ratio: gradientNormRatio },
    ...(bank ? { bank } : {}),
  };
}

async function timed<Name extends string, Result>(
  timings: Record<Name, number>,
  name: Name,
  work: () => Promise<Result>,
): Promise<Result> {
  const started = performance.now();
  try {
    return await work();
  } finally {
    timings[name] += performance.now() - started;
  }
}

function versions(): Record<string, string> {
  const require = createRequire(import.meta.url);
  const versionOf = (name: string) => (require(`${name}/package.json`) as { version: string }).version;
  return {
    gradbank: (require("../../package.json") as { version: string }).version,
    node: process.versions.node,
    "onnxruntime-node": versionOf("onnxruntime-node"),
  };
}
