import { BridgeError, type CaseLoss, createCaseLoss, nearestToLimit, Reference, writeReports } from "@gradbank/bridge";
import {
  countSteps,
  parseTrainingArguments,
  Trainer,
  type TrainerCallback,
  type TrainingArguments,
  type TrainResult,
} from "@gradbank/core";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { compareFirstSteps } from "./first-steps-parity.ts";
import type { Interruption } from "./interruption.ts";
import { loadQuickstartData, type QuickstartData } from "./quickstart-data.ts";
import type { ParityVerdict, Reporter } from "./quickstart-events.ts";
import { loadQuickstartModel, type QuickstartModel } from "./quickstart-model.ts";
import type { QuickstartOptions } from "./quickstart-options.ts";
import { prepareRunFolder, type RunFolder } from "./run-folder.ts";
import { checkSavedModel } from "./saved-model-check.ts";

/** What a quickstart needs besides its options. */
export interface QuickstartSurroundings {
  readonly reporter: Reporter;
  readonly interruption: Interruption;
  /** Starts Python. Default: `Reference.start`. */
  readonly startReference?: (options: { threads: number }) => Promise<Reference>;
}

const seed = 42;
const paritySteps = 2;
const warmupRatio = 0.1;

const parityVerdicts = { equal: "equal", different: "not equal", "could-not-compare": "failed" } as const;

/**
 * The main road from end to end: load a model and pairs, compare the first steps with Python, measure, train, measure
 * again, save, and check what was saved.
 *
 * @returns `exitCodes.failed` when a comparison was not equal, `exitCodes.interrupted` when it was stopped before there
 *   was anything to save.
 * @throws GradbankError for a model, data or a folder that cannot be used, and when training fails.
 */
export async function quickstart(options: QuickstartOptions, surroundings: QuickstartSurroundings): Promise<ExitCode> {
  const { reporter, interruption } = surroundings;
  const started = performance.now();
  reporter.report({ type: "quickstart-start", options });
  interruption.onRequest((signal) => reporter.report({ type: "interruption", signal }));
  const run = await prepareRunFolder(options.outputDir);
  const python = await startPython(options, surroundings);
  let model: QuickstartModel | undefined;
  try {
    reporter.report({ type: "activity-start", activity: "Loading the model" });
    const { threads } = options;
    model = await loadQuickstartModel({ model: options.model, threads, ...python });
    reportModel(reporter, model);
    reporter.report({ type: "activity-start", activity: "Loading the data" });
    const data = await loadQuickstartData(options.data, options.trainPairs);
    reportData(reporter, data);
    return await trainAndSave({ options, surroundings, run, model, data, python, started });
  } finally {
    await model?.encoder.release();
    await python.reference?.close();
  }
}

interface Python {
  readonly reference: Reference | undefined;
  /** Why there is none. */
  readonly withoutReference: string | undefined;
}

/** Python is needed for the comparison, and for its model when no other is named. */
async function startPython(
  { parity, model, threads }: QuickstartOptions,
  { reporter, startReference = Reference.start }: QuickstartSurroundings,
): Promise<Python> {
  if (!parity && model !== undefined) return { reference: undefined, withoutReference: "not asked for" };
  reporter.report({ type: "activity-start", activity: "Starting Python" });
  try {
    const reference = await startReference({ threads });
    const { python, torch, sentenceTransformers } = reference.information;
    reporter.report({ type: "python-start", versions: { python, torch, sentenceTransformers } });
    return { reference, withoutReference: undefined };
  } catch (error) {
    // Training needs no Python; whether the comparison was made is part of the result.
    if (!(error instanceof BridgeError)) throw error;
    return { reference: undefined, withoutReference: error.message };
  }
}

interface Work {
  readonly options: QuickstartOptions;
  readonly surroundings: QuickstartSurroundings;
  readonly run: RunFolder;
  readonly model: QuickstartModel;
  readonly data: QuickstartData;
  readonly python: Python;
  readonly started: number;
}

async function trainAndSave(work: Work): Promise<ExitCode> {
  const { options, surroundings, run, model, data, python, started } = work;
  const { reporter, interruption } = surroundings;
  const { encoder } = model;
  const metric = data.task.evaluator.primaryMetric;
  const trainingArguments = parseTrainingArguments({
    outputDir: run.folder,
    perDeviceTrainBatchSize: options.batchSize,
    batchSampler: "no_duplicates",
    numTrainEpochs: 1,
    ...(options.maxSteps === undefined ? {} : { maxSteps: options.maxSteps }),
    learningRate: options.learningRate,
    warmupRatio,
    seed,
    loggingSteps: 5,
    evalStrategy: "steps",
    evalOnStart: true,
  });
  const { maxSteps } = countSteps(data.train.length, trainingArguments);
  const lossOptions = quickstartLoss(options);
  const parity = await compareWithPython(work, lossOptions, trainingArguments);
  const end = (result: Partial<TrainResult>, modelFolder: string | undefined, exitCode: ExitCode): ExitCode => {
    const { reason = "interrupted", step = 0, evaluations = [] } = result;
    const measured = (at: number) => evaluations.find((evaluation) => evaluation.step === at)?.metrics[metric];
    reporter.report({
      type: "quickstart-end",
      reason,
      step,
      maxSteps,
      metric,
      before: measured(0),
      after: step > 0 ? measured(maxSteps) : undefined,
      parity,
      seconds: (performance.now() - started) / 1000,
      modelFolder,
      exitCode,
    });
    return exitCode;
  };
  if (interruption.signal) return end({}, undefined, exitCodes.interrupted);

  const trainer = new Trainer({
    encoder,
    loss: createCaseLoss(lossOptions),
    trainDataset: data.train,
    evaluator: data.task.evaluator,
    // One evaluation before the first update and one after the last.
    arguments: { ...trainingArguments, evalSteps: maxSteps, saveStrategy: "no" },
    callbacks: [reportTraining(reporter)],
  });
  interruption.onRequest(() => trainer.stop());
  const result = await trainer.train();
  if (result.step === 0) return end(result, undefined, exitCodes.interrupted);

  const saving = performance.now();
  reporter.report({ type: "activity-start", activity: "Saving the model" });
  await encoder.save(run.model);
  reporter.report({ type: "model-saved", folder: run.model, seconds: (performance.now() - saving) / 1000 });
  const isParityRight = parity === "equal" || parity === "skipped";
  if (result.reason === "interrupted") return end(result, run.model, isParityRight ? exitCodes.done : exitCodes.failed);

  reporter.report({ type: "activity-start", activity: "Checking the saved model" });
  const check = await checkSavedModel(run.model, encoder, data.train, {
    threads: options.threads,
    reference: options.parity ? python.reference : undefined,
  });
  reporter.report({ type: "model-checked", ...check });
  return end(result, run.model, isParityRight && check.equal ? exitCodes.done : exitCodes.failed);
}

/** The paper's loss: GradCache, and with a bank ContAccum. */
function quickstartLoss({ miniBatchSize, bankCapacity }: QuickstartOptions): CaseLoss {
  return {
    class: "CachedMultipleNegativesRankingLoss",
    scale: 20,
    similarityFunction: "cos_sim",
    directions: ["query_to_doc"],
    partitionMode: "joint",
    hardnessMode: null,
    hardnessStrength: 0,
    miniBatchSize,
    miniBatchNumTokens: null,
    bank: bankCapacity === undefined ? null : { capacity: bankCapacity },
  };
}

/** Compares the first steps; whatever comes of it, training goes on. */
async function compareWithPython(
  { options, surroundings, run, model, data, python }: Work,
  loss: CaseLoss,
  trainingArguments: TrainingArguments,
): Promise<ParityVerdict> {
  const { reporter, interruption } = surroundings;
  const { reference } = python;
  if (!options.parity || !reference) {
    reporter.report({
      type: "parity-skip",
      reason: options.parity ? `Python cannot be used. ${python.withoutReference}` : "--no-parity was given.",
    });
    return "skipped";
  }
  if (interruption.signal) return "skipped";
  const { train } = data;
  const { batchSize, threads } = options;
  const { adamBeta1, adamBeta2, adamEpsilon, weightDecay, maxGradNorm, learningRate } = trainingArguments;
  const { maxSteps, warmupSteps, batchesPerEpoch } = countSteps(train.length, trainingArguments);
  const steps = Math.min(paritySteps, batchesPerEpoch, maxSteps);
  const stop = new AbortController();
  interruption.onRequest(() => stop.abort());
  reporter.report({ type: "parity-start", steps });
  const report = await compareFirstSteps({
    ...{ encoder: model.encoder, reference, loss, train, batchSize, seed, steps, threads },
    data: options.data === undefined ? { kind: "wordNet" } : { kind: "file", file: options.data, columns: null },
    arguments: { adamBeta1, adamBeta2, adamEpsilon, weightDecay, maxGradNorm, learningRate, warmupSteps },
    signal: stop.signal,
    onEvent: (event) => {
      if (event.type === "step") reporter.report({ type: "parity-step", report: event.report });
      if (event.type === "divergence") reporter.report({ type: "parity-divergence", divergence: event.divergence });
    },
  });
  const { error } = report.cases[0]!;
  if (error) reporter.report({ type: "parity-error", ...error });
  const { case: _, ...nearest } = nearestToLimit(report) ?? {};
  const { html } = await writeReports(run.parity, report);
  const verdict = parityVerdicts[report.verdict];
  reporter.report({ type: "parity-end", verdict, nearest: "step" in nearest ? nearest : undefined, report: html });
  return verdict;
}

function reportTraining(reporter: Reporter): TrainerCallback {
  return {
    onTrainBegin: (_progress, _control, event) => reporter.report(event),
    onStepEnd: (_progress, _control, event) => reporter.report(event),
    onEvaluate: (_progress, _control, event) => reporter.report(event),
    onTrainEnd: (_progress, _control, event) => reporter.report(event),
  };
}

function reportModel(reporter: Reporter, { encoder, name }: QuickstartModel): void {
  const { architecture, dimension, parameters, trainedParameters } = encoder;
  reporter.report({
    type: "model-loaded",
    name,
    architecture: architecture.modelType,
    layers: architecture.layers,
    dimension,
    parameters: [...parameters].reduce((sum, { name, size }) => sum + (trainedParameters.has(name) ? size : 0), 0),
  });
}

function reportData(reporter: Reporter, { name, train, task, example }: QuickstartData): void {
  const { queries, documents } = task;
  reporter.report({ type: "data-loaded", name, trainPairs: train.length, queries, documents, example });
}
