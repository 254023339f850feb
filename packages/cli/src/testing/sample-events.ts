import type { EventOfType } from "@gradbank/core";
import type { ReportedEvent } from "../quickstart-events.ts";
import { quickstartDefaults } from "../quickstart-options.ts";
import { sampleStepReport } from "./sample-parity.ts";

const time = "2026-01-02T03:04:05.678Z";
const training = { version: 1, time } as const;
const metric = "wordnet-test_cosine_ndcg@10";

export const sampleRunStart: EventOfType<"run-start"> = {
  type: "run-start",
  ...training,
  step: 0,
  arguments: { perDeviceTrainBatchSize: 128, learningRate: 1e-4 },
  loss: { name: "CachedMultipleNegativesRankingLoss", options: { mini_batch_size: 32 } },
  data: { trainRows: 5120, evalRows: 0, columns: ["definition", "entry"] },
  model: { name: "all-MiniLM-L6-v2", architecture: "bert", embeddingDimension: 384, parameterCount: 22_565_376 },
  device: "cpu",
  versions: { gradbank: "0.0.0" },
  maxSteps: 2,
  batchesPerEpoch: 2,
  updatesPerEpoch: 2,
  warmupSteps: 1,
};

export function sampleEvaluation(step: number, value: number): EventOfType<"evaluation-end"> {
  return {
    type: "evaluation-end",
    ...training,
    step,
    epoch: step / 2,
    metrics: { [metric]: value },
    primaryMetric: metric,
    evalRuntime: 4.25,
  };
}

export function sampleStep(step: number): EventOfType<"step-end"> {
  return {
    type: "step-end",
    ...training,
    step,
    epoch: step / 2,
    loss: 1.25,
    learningRate: 1e-4,
    gradNorm: 3,
    pairsPerSecond: 33.3,
    timings: { gradients: 3000 },
  };
}

const end: EventOfType<"run-end"> = {
  type: "run-end",
  ...training,
  step: 2,
  epoch: 1,
  reason: "completed",
  totals: { trainRuntime: 8, trainSamplesPerSecond: 32, trainStepsPerSecond: 0.25, trainLoss: 1.25 },
};

/** What a whole quickstart tells. */
export const sampleEvents: readonly ReportedEvent[] = [
  { type: "quickstart-start", options: quickstartDefaults },
  { type: "activity-start", activity: "Starting Python" },
  { type: "python-start", versions: { python: "3.11.7", torch: "2.13.0", sentenceTransformers: "6.2.0" } },
  {
    type: "model-loaded",
    name: "all-MiniLM-L6-v2",
    architecture: "bert",
    layers: 6,
    dimension: 384,
    parameters: 22_565_376,
  },
  {
    type: "data-loaded",
    name: "WordNet, as a reverse dictionary",
    trainPairs: 5120,
    queries: 500,
    documents: 3000,
    example: ["a small dog", "puppy, pup"],
  },
  { type: "parity-start", steps: 2 },
  { type: "parity-step", report: sampleStepReport(1) },
  { type: "parity-step", report: sampleStepReport(2) },
  {
    type: "parity-end",
    verdict: "equal",
    nearest: { step: 1, stage: "parameter-gradients", tensor: "pooler", multiple: 3.2, limit: 8 },
    report: "runs/quickstart/parity/report.html",
  },
  sampleRunStart,
  sampleEvaluation(0, 0.5036),
  sampleStep(1),
  sampleStep(2),
  sampleEvaluation(2, 0.5731),
  end,
  { type: "activity-start", activity: "Saving the model" },
  { type: "model-saved", folder: "runs/quickstart/model", seconds: 0.5 },
  { type: "model-checked", reloaded: 0, python: 1.6e-7, equal: true },
  {
    type: "quickstart-end",
    reason: "completed",
    step: 2,
    maxSteps: 2,
    metric,
    before: 0.5036,
    after: 0.5731,
    parity: "equal",
    seconds: 192,
    modelFolder: "runs/quickstart/model",
    exitCode: 0,
  },
];
