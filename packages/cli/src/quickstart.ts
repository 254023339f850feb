import { writeFile } from "node:fs/promises";
import { BridgeError, Reference } from "@gradbank/bridge";
import {
  CachedMultipleNegativesRankingLoss,
  countSteps,
  EmbeddingBank,
  parseTrainingArguments,
  Trainer,
  type TrainerCallback,
  type TrainResult,
} from "@gradbank/core";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { type ComparedStep, compareFirstSteps, largestDifference, nearestToTolerance } from "./first-steps-parity.ts";
import type { Interruption } from "./interruption.ts";
import { loadQuickstartData, type QuickstartData } from "./quickstart-data.ts";
import type { ParityVerdict, QuickstartEvent, Reporter } from "./quickstart-events.ts";
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
const paritySteps = 3;
const warmupRatio = 0.1;

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
  const { miniBatchSize, bankCapacity } = options;
  // sentence-transformers has no bank: what is compared with it is the same loss without one.
  const parity = await compareWithPython(work, new CachedMultipleNegativesRankingLoss({ miniBatchSize }));
  const loss = new CachedMultipleNegativesRankingLoss({
    miniBatchSize,
    ...(bankCapacity === undefined ? {} : { bank: new EmbeddingBank({ capacity: bankCapacity }) }),
  });

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
    loss,
    trainDataset: data.train,
    evaluator: data.task.evaluator,
    // One evaluation before the first update and one after the last.
    arguments: { ...trainingArguments, evalSteps: maxSteps },
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

/** Compares the first batches; whatever comes of it, training goes on. */
async function compareWithPython(
  { options, surroundings, run, model, data, python }: Work,
  loss: CachedMultipleNegativesRankingLoss,
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
  const steps: ComparedStep[] = [];
  let verdict: ParityVerdict;
  let report: string | undefined;
  try {
    const { encoder } = model;
    const { train } = data;
    const { batchSize } = options;
    const count = Math.min(paritySteps, Math.ceil(train.length / batchSize), options.maxSteps ?? paritySteps);
    reporter.report({ type: "parity-start", steps: count });
    const compared = compareFirstSteps({ encoder, reference, loss, train, batchSize, seed, steps: count });
    for await (const step of compared) {
      steps.push(step);
      reporter.report(parityStepEvent(step));
      if (interruption.signal) break;
    }
    verdict = steps.length > 0 && steps.every(({ comparison }) => comparison.equal) ? "equal" : "not equal";
    await writeFile(run.parity, `${JSON.stringify({ versions: reference.information, steps }, finiteOrText, 1)}\n`);
    report = run.parity;
  } catch (error) {
    if (!(error instanceof BridgeError)) throw error;
    reporter.report({ type: "parity-error", code: error.code, message: error.message });
    verdict = "failed";
  }
  const nearest = nearestToTolerance(steps.map(({ comparison }) => comparison));
  reporter.report({ type: "parity-end", verdict, nearest: nearest && withoutTensors(nearest), report });
  return verdict;
}

function parityStepEvent({ step, rows, comparison, seconds }: ComparedStep): QuickstartEvent {
  const difference = (stage: Parameters<typeof largestDifference>[1]) =>
    largestDifference(comparison, stage) ?? Number.NaN;
  return {
    type: "parity-step",
    step,
    rows,
    loss: comparison.loss,
    differences: {
      loss: difference("loss"),
      embeddings: difference("embeddings"),
      embeddingGradients: difference("embedding-gradients"),
      parameterGradients: difference("parameter-gradients"),
    },
    stages: comparison.stages.map(withoutTensors),
    equal: comparison.equal,
    seconds,
  };
}

function withoutTensors<Stage extends { readonly tensors: unknown }>({ tensors: _, ...stage }: Stage) {
  return stage;
}

/** JSON has no NaN and no infinity; they must stay visible. */
function finiteOrText(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
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
