import type { TensorComparison } from "@gradbank/bridge";
import type { EventOfType } from "@gradbank/core";
import type { QuickstartEvent, ReportedEvent } from "../quickstart-events.ts";
import { quickstartDefaults } from "../quickstart-options.ts";

const time = "2026-01-02T03:04:05.678Z";
const training = { version: 1, time } as const;
const metric = "wordnet-test_cosine_ndcg@10";

/** The worst tensor of a stage. */
export const sampleTensor: TensorComparison = {
  name: "encoder.layer.0.output.dense.weight",
  elements: 12,
  difference: 2.5e-7,
  index: 3,
  ours: 0.12345678,
  theirs: 0.12345703,
  scale: 0.0025,
  tolerance: 1.25e-6,
  equal: true,
};

/** One batch on both sides. */
export const sampleParityStep: Extract<QuickstartEvent, { type: "parity-step" }> = {
  type: "parity-step",
  step: 1,
  rows: 128,
  loss: { ours: 1.5786, theirs: 1.57860001 },
  differences: { loss: 6e-9, embeddings: 1e-7, embeddingGradients: 3.14e-6, parameterGradients: 1e-4 },
  stages: [{ stage: "parameter-gradients", worst: sampleTensor, equal: true }],
  equal: true,
  seconds: 12,
};

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
  { type: "parity-start", steps: 1 },
  sampleParityStep,
  { type: "parity-end", verdict: "equal", nearest: sampleParityStep.stages[0], report: "runs/quickstart/parity.json" },
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
