import { createRequire } from "node:module";
import { join } from "node:path";
import type { Dataset } from "../data/dataset.ts";
import type { DropoutKey } from "../encoder/dropout.ts";
import { GradbankError, TrainingError } from "../errors.ts";
import type { Batch, LossDiagnostics, LossObserver } from "../loss/loss.ts";
import { removeWholeFolder } from "../model-folder/whole-folder.ts";
import type { AdamW } from "../optimizer/adamw.ts";
import type { BatchSampler } from "../sampler/batch-sampler.ts";
import type { TrainingArguments } from "./arguments.ts";
import { type BestEvaluation, isBetter, requireMetric } from "./best-model.ts";
import {
  notifyCallbacks,
  type TrainerCallback,
  type TrainerControl,
  type TrainerHook,
  type TrainerProgress,
} from "./callbacks.ts";
import { type Checkpoint, restoreCheckpoint, restoreWeights, writeCheckpoint } from "./checkpoint.ts";
import { checkpointFolder, listCheckpoints, rotateCheckpoints } from "./checkpoint-folders.ts";
import { createAdamW } from "./create-adamw.ts";
import type { EventLogWriter } from "./event-log.ts";
import { createEvent, type EventOfType, type TrainingEvent } from "./events.ts";
import type { RunIdentity } from "./run-identity.ts";
import type { RunState } from "./run-state.ts";
import { createSchedule, type LearningRateSchedule } from "./schedule.ts";
import {
  accumulationGroups,
  type DueActions,
  dueAfterEpoch,
  dueAfterStep,
  epochAfterBatch,
  resolveSteps,
  type StepCounts,
} from "./step-counts.ts";
import type { TrainerOptions, TrainResult } from "./trainer.ts";
import { trainerState } from "./trainer-state.ts";
import { WeightUpdate } from "./weight-update.ts";

/** Sums over a run or a part of it. */
interface Means {
  loss: number;
  updates: number;
}

/** What is to be said when a run begins. */
export type RunWarning = Omit<EventOfType<"warning">, "type" | "version" | "time" | "step">;

/** What a run is made from besides the trainer's options. */
export interface TrainingRunParts {
  readonly arguments: TrainingArguments;
  readonly counts: StepCounts;
  readonly sampler: BatchSampler;
  readonly evalSampler: BatchSampler | undefined;
  readonly log: EventLogWriter;
  readonly control: TrainerControl;
  /** Turned to true by `Trainer.stop`. */
  readonly interruption: { isRequested: boolean };
  /** Undefined where nothing is saved. */
  readonly identity: RunIdentity | undefined;
  /** Where the run goes on; undefined for a new one. */
  readonly checkpoint: Checkpoint | undefined;
  readonly warnings: readonly RunWarning[];
}

/** One run of a trainer: what changes while it goes on. */
export class TrainingRun {
  readonly #options: TrainerOptions;
  readonly #parts: TrainingRunParts;
  readonly #arguments: TrainingArguments;
  readonly #counts: StepCounts;
  readonly #control: TrainerControl;
  readonly #callbacks: readonly TrainerCallback[];
  readonly #optimizer: AdamW;
  readonly #weightUpdate: WeightUpdate;
  readonly #learningRate: LearningRateSchedule;
  readonly #bankDriftSteps: number;
  readonly #started = performance.now();
  readonly #total: Means = { loss: 0, updates: 0 };
  readonly #sinceLog: Means = { loss: 0, updates: 0 };
  #evaluations: { step: number; metrics: Record<string, number> }[] = [];
  #logHistory: Record<string, number>[] = [];
  /** What the last update had, for log entries. */
  #lastUpdate = { gradNorm: 0, learningRate: 0 };
  #position = { epoch: 0, batches: 0, isInside: false };
  #step = 0;
  #epoch = 0;
  /** Step of the checkpoint that the run began from, and of the last one that it saved. */
  #firstStep = 0;
  #savedStep = 0;
  /** Steps of all its checkpoints; some may be deleted. */
  readonly #savedSteps = new Set<number>();
  #best: BestEvaluation | undefined;
  #bestCheckpoint: number | undefined;
  #rows = 0;
  /** Forward passes so far: each draws its own dropout masks. */
  #batches = 0;

  constructor(options: TrainerOptions, parts: TrainingRunParts) {
    this.#options = options;
    this.#parts = parts;
    this.#arguments = parts.arguments;
    this.#counts = parts.counts;
    this.#control = parts.control;
    this.#callbacks = options.callbacks ?? [];
    const { learningRate, maxGradNorm, lrSchedulerType, lrSchedulerKwargs } = parts.arguments;
    const { warmupSteps, maxSteps } = parts.counts;
    this.#optimizer = createAdamW(options.encoder, parts.arguments);
    this.#weightUpdate = new WeightUpdate(options.encoder, options.loss, this.#optimizer, { maxGradNorm });
    this.#bankDriftSteps = resolveSteps(parts.arguments.bankDriftSteps ?? parts.arguments.loggingSteps, maxSteps);
    this.#learningRate = createSchedule({
      type: lrSchedulerType,
      keywords: lrSchedulerKwargs,
      ...{ learningRate, warmupSteps, maxSteps },
    });
  }

  async execute(): Promise<TrainResult> {
    const { checkpoint, warnings } = this.#parts;
    try {
      this.#allocateBanks();
      if (checkpoint) await this.#resume(checkpoint);
      const begin = this.#write("run-start", {
        ...this.#description(),
        ...(checkpoint ? { resumedFrom: { folder: checkpoint.folder, step: this.#step } } : {}),
      });
      for (const warning of warnings) this.#write("warning", warning);
      await this.#notify("onTrainBegin", begin);
      if (this.#arguments.evalOnStart && !checkpoint) await this.#evaluate();
      while (this.#position.isInside || (this.#position.epoch < this.#counts.epochs && !this.#isOver()))
        if (!(await this.#runEpoch())) break;
      return await this.#end(this.#isInterrupted() ? "interrupted" : "completed");
    } catch (error) {
      await this.#fail(error);
      throw error;
    }
  }

  /** @returns false when the run was interrupted before the end of the epoch. */
  async #runEpoch(): Promise<boolean> {
    const { epoch } = this.#position;
    await this.#runUpdates(epoch);
    if (this.#isInterrupted()) return false;
    this.#position = { epoch: epoch + 1, batches: 0, isInside: false };
    await this.#act(dueAfterEpoch(this.#epoch, this.#arguments));
    return true;
  }

  /** The updates of an epoch from where the run stands, until its end or the run's. */
  async #runUpdates(epoch: number): Promise<void> {
    const { sampler } = this.#parts;
    const done = this.#position.batches;
    // A sampler may give more batches than its length; the epoch ends after so many.
    const { batchesPerEpoch } = this.#counts;
    const groups = accumulationGroups(batchesPerEpoch, this.#arguments.gradientAccumulationSteps);
    const batches = sampler.batches(epoch)[Symbol.iterator]();
    for (let batch = 0; batch < done; batch++) batches.next();
    for (const group of groups) {
      if (group.firstBatch < done) continue;
      if (this.#isOver()) return;
      const rows: Int32Array[] = [];
      for (let batch = 0; batch < group.size; batch++) {
        const next = batches.next();
        if (next.done) break;
        rows.push(next.value);
      }
      if (rows.length === 0) return;
      const batchesDone = group.firstBatch + rows.length;
      this.#position = { epoch, batches: batchesDone, isInside: true };
      await this.#update(rows, epochAfterBatch(epoch, batchesDone - 1, batchesPerEpoch));
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
    this.#lastUpdate = { gradNorm, learningRate };
    await this.#act(dueAfterStep(this.#step, this.#counts, this.#arguments));
  }

  /** Logs, evaluates and saves, in the Hugging Face Trainer's order. */
  async #act(due: DueActions): Promise<void> {
    if (due.log && this.#sinceLog.updates > 0) await this.#logMeans();
    if (due.evaluate) this.#rememberBest(await this.#evaluate());
    if (due.save) await this.#save();
  }

  async #logMeans(): Promise<void> {
    const epoch = this.#epoch;
    const loss = this.#sinceLog.loss / this.#sinceLog.updates;
    const { gradNorm, learningRate } = this.#lastUpdate;
    Object.assign(this.#sinceLog, { loss: 0, updates: 0 });
    this.#logHistory.push({ loss, grad_norm: gradNorm, learning_rate: learningRate, epoch, step: this.#step });
    await this.#notify("onLog", this.#write("log", { epoch, loss, gradNorm, learningRate }));
  }

  async #evaluate(): Promise<Readonly<Record<string, number>>> {
    const { encoder, evaluator } = this.#options;
    const { evalSampler } = this.#parts;
    const started = performance.now();
    const metrics: Record<string, number> = {};
    if (evalSampler) metrics.eval_loss = await this.#evaluateLoss(evalSampler);
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
    const evalRuntime = (performance.now() - started) / 1000;
    const named = Object.entries(metrics).map(([name, value]) => [
      name.startsWith("eval_") ? name : `eval_${name}`,
      value,
    ]);
    this.#logHistory.push({
      ...Object.fromEntries(named),
      eval_runtime: evalRuntime,
      epoch: this.#epoch,
      step: this.#step,
    });
    const event = this.#write("evaluation-end", {
      epoch: this.#epoch,
      metrics,
      ...(evaluator ? { primaryMetric: evaluator.primaryMetric } : {}),
      evalRuntime,
    });
    await this.#notify("onEvaluate", event);
    return metrics;
  }

  #rememberBest(metrics: Readonly<Record<string, number>>): void {
    const { metricForBestModel, greaterIsBetter = false } = this.#arguments;
    if (metricForBestModel === undefined) return;
    const value = requireMetric(metrics, metricForBestModel, this.#step);
    if (isBetter(value, this.#best?.value, greaterIsBetter)) this.#best = { step: this.#step, value };
  }

  async #save(): Promise<void> {
    const { outputDir, saveTotalLimit } = this.#arguments;
    const { encoder, loss } = this.#options;
    const folder = checkpointFolder(outputDir, this.#step);
    this.#savedSteps.add(this.#step);
    // An evaluation without a checkpoint of its own cannot be gone back to.
    if (this.#best && this.#savedSteps.has(this.#best.step)) this.#bestCheckpoint = this.#best.step;
    const best = this.#bestCheckpoint;
    const state = this.#state();
    await writeCheckpoint(
      folder,
      { encoder, optimizer: this.#optimizer, banks: loss.banks },
      state,
      trainerState(
        state,
        this.#counts,
        this.#arguments,
        best === undefined ? undefined : checkpointFolder(outputDir, best),
      ),
    );
    this.#savedStep = this.#step;
    const event = this.#write("checkpoint-saved", { epoch: this.#epoch, folder, isResumable: true });
    if (saveTotalLimit !== undefined)
      await rotateCheckpoints(outputDir, this.#savedSteps, { limit: saveTotalLimit, step: this.#step, best });
    await this.#notify("onSave", event);
  }

  #state(): Omit<RunState, "files"> {
    return {
      version: 1,
      step: this.#step,
      epoch: this.#epoch,
      position: this.#position,
      forwardPasses: this.#batches,
      total: { ...this.#total },
      sinceLog: { ...this.#sinceLog },
      evaluations: this.#evaluations,
      logHistory: this.#logHistory,
      best: this.#best ?? null,
      bestCheckpoint: this.#bestCheckpoint ?? null,
      savedSteps: [...this.#savedSteps],
      isStoppedEarly: this.#control.shouldStop,
      callbacks: this.#callbacks.flatMap((callback) =>
        callback.state && callback.name !== undefined ? [{ name: callback.name, state: callback.state() }] : [],
      ),
      identity: this.#parts.identity ?? {},
    };
  }

  /** Puts everything where it was when the checkpoint was saved. */
  async #resume({ folder, state }: Checkpoint): Promise<void> {
    const { encoder, loss } = this.#options;
    await restoreCheckpoint(folder, { encoder, optimizer: this.#optimizer, banks: loss.banks });
    this.#step = state.step;
    this.#firstStep = state.step;
    this.#savedStep = state.step;
    for (const step of state.savedSteps) this.#savedSteps.add(step);
    this.#epoch = state.epoch;
    this.#position = state.position;
    this.#batches = state.forwardPasses;
    Object.assign(this.#total, state.total);
    Object.assign(this.#sinceLog, state.sinceLog);
    this.#evaluations = state.evaluations;
    this.#logHistory = state.logHistory;
    this.#best = state.best ?? undefined;
    // The best checkpoint may have been left behind where the run was moved to another folder.
    const kept = await listCheckpoints(this.#arguments.outputDir);
    this.#bestCheckpoint = kept.find(({ step }) => step === state.bestCheckpoint)?.step;
    this.#control.shouldStop = state.isStoppedEarly;
    const states = [...state.callbacks];
    for (const callback of this.#callbacks) {
      const place = callback.restore ? states.findIndex(({ name }) => name === callback.name) : -1;
      if (place >= 0) callback.restore?.(states.splice(place, 1)[0]!.state);
    }
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
    return this.#parts.interruption.isRequested || this.#control.shouldStop || this.#step >= this.#counts.maxSteps;
  }

  /** Whether updates are left that were to be made. */
  #isInterrupted(): boolean {
    return this.#parts.interruption.isRequested && !this.#control.shouldStop && this.#step < this.#counts.maxSteps;
  }

  async #end(reason: "completed" | "interrupted"): Promise<TrainResult> {
    const { saveStrategy } = this.#arguments;
    let isLoaded = false;
    if (reason === "completed") isLoaded = await this.#loadBest();
    else if (saveStrategy !== "no" && this.#step > this.#savedStep) await this.#save();
    const modelFolder = await this.#saveModel();
    const isStoppedEarly = reason === "completed" && this.#control.shouldStop;
    const best = this.#best && { ...this.#best, metric: this.#arguments.metricForBestModel!, isLoaded };
    const event = this.#write("run-end", {
      ...this.#summary(reason),
      ...(isStoppedEarly ? { isStoppedEarly } : {}),
      ...(best ? { bestModel: best } : {}),
      ...(modelFolder === undefined ? {} : { modelFolder }),
    });
    await this.#notify("onTrainEnd", event);
    return {
      reason,
      isStoppedEarly,
      step: this.#step,
      trainLoss: event.totals.trainLoss,
      trainRuntime: event.totals.trainRuntime,
      evaluations: this.#evaluations,
      ...(best ? { bestModel: best } : {}),
    };
  }

  /** Ends the run with the best checkpoint's weights, where that is asked for. @returns whether it could. */
  async #loadBest(): Promise<boolean> {
    const { outputDir, loadBestModelAtEnd, saveTotalLimit } = this.#arguments;
    const best = this.#bestCheckpoint;
    if (best === undefined) return false;
    const folder = checkpointFolder(outputDir, best);
    let isLoaded = false;
    if (loadBestModelAtEnd) {
      try {
        await restoreWeights(folder, this.#options.encoder);
        isLoaded = true;
      } catch (error) {
        if (!GradbankError.isInstance(error)) throw error;
        // The last weights are worth more than none.
        this.#write("warning", {
          code: "best-model-not-loaded",
          message: `The best model, of update ${best}, could not be loaded; the run ends with the last weights. ${error.message}`,
          facts: { folder, step: best },
        });
      }
    }
    // With a limit of one, the last checkpoint was kept for resuming only.
    if (saveTotalLimit === 1 && (isLoaded || !loadBestModelAtEnd))
      for (const checkpoint of await listCheckpoints(outputDir))
        if (checkpoint.step !== best && this.#savedSteps.has(checkpoint.step))
          await removeWholeFolder(checkpoint.folder);
    return isLoaded;
  }

  async #saveModel(): Promise<string | undefined> {
    const { modelFolder, encoder } = this.#options;
    if (modelFolder === undefined || this.#step === 0) return undefined;
    await encoder.save(modelFolder);
    const event = this.#write("checkpoint-saved", { epoch: this.#epoch, folder: modelFolder, isResumable: false });
    await this.#notify("onSave", event);
    return modelFolder;
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
        trainStepsPerSecond: (this.#step - this.#firstStep) / trainRuntime,
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
    return {
      step: this.#step,
      maxSteps: this.#counts.maxSteps,
      epoch: this.#epoch,
      ...(this.#best ? { bestMetric: this.#best.value } : {}),
    };
  }

  #write<Type extends TrainingEvent["type"]>(
    type: Type,
    fields: Omit<EventOfType<Type>, "type" | "version" | "time" | "step">,
  ): EventOfType<Type> {
    const event = createEvent(type, this.#step, fields);
    this.#parts.log.append(event);
    return event;
  }

  #notify(hook: "onOptimizerStep"): Promise<void>;
  #notify(hook: Exclude<TrainerHook, "onOptimizerStep">, event: TrainingEvent): Promise<void>;
  #notify(hook: TrainerHook, event?: TrainingEvent): Promise<void> {
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

/** Versions of what a run depends on, by name. */
export function versions(): Record<string, string> {
  const require = createRequire(import.meta.url);
  const versionOf = (name: string) => (require(`${name}/package.json`) as { version: string }).version;
  return {
    gradbank: (require("../../package.json") as { version: string }).version,
    node: process.versions.node,
    "onnxruntime-node": versionOf("onnxruntime-node"),
  };
}
