import { createEvent, type TrainingEvent } from "../trainer/events.ts";

const time = new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678));

/** One event of every type, in the order of the schema, with every optional field. */
export const everyKindOfEvent: TrainingEvent[] = [
  createEvent(
    "run-start",
    0,
    {
      arguments: { perDeviceTrainBatchSize: 64, warmupRatio: 0.1 },
      loss: { name: "CachedMultipleNegativesRankingLoss", options: { scale: 20, miniBatchSize: 32 } },
      data: { trainRows: 90_000, evalRows: 0, columns: ["définition", "word"] },
      model: {
        name: "all-MiniLM-L6-v2",
        architecture: "BertModel",
        embeddingDimension: 384,
        parameterCount: 22_713_216,
      },
      banks: [{ capacity: 1024, bytes: 3_167_232 }],
      device: "cpu",
      versions: { gradbank: "0.0.0", node: "20.20.2" },
      maxSteps: 88,
      batchesPerEpoch: 88,
      updatesPerEpoch: 88,
      warmupSteps: 9,
      resumedFrom: { folder: "runs/a/checkpoint-9", step: 9 },
    },
    time,
  ),
  createEvent(
    "step-end",
    1,
    {
      epoch: 1 / 88,
      loss: Number.NaN,
      learningRate: 0,
      gradNorm: Number.POSITIVE_INFINITY,
      pairsPerSecond: 101.5,
      timings: { encode: 12.25, optimizer: 3 },
      gradientNorms: { queries: 0.5, documents: 0.75, ratio: 1.5 },
      bank: { rows: 1024, oldestAge: 8, positiveRank: 2.5, maskedDuplicates: 3 },
    },
    time,
  ),
  createEvent("bank-drift", 1, { rows: 32, meanCosine: 0.98, leastCosine: 0.9 }, time),
  createEvent("log", 5, { epoch: 5 / 88, loss: 1.25, gradNorm: 0.1 + 0.2, learningRate: 4e-5 }, time),
  createEvent(
    "evaluation-end",
    9,
    {
      epoch: 9 / 88,
      metrics: { "dev_cosine_ndcg@10": 0.86, eval_loss: Number.NEGATIVE_INFINITY },
      primaryMetric: "dev_cosine_ndcg@10",
      evalRuntime: 2.5,
    },
    time,
  ),
  createEvent("checkpoint-saved", 9, { epoch: 9 / 88, folder: "runs/a/checkpoint-9", isResumable: true }, time),
  createEvent("warning", 10, { code: "sampler-short", message: "too few rows 🙂", facts: { rows: 3 } }, time),
  createEvent(
    "run-end",
    88,
    {
      epoch: 1,
      reason: "completed",
      isStoppedEarly: false,
      totals: { trainRuntime: 60, trainSamplesPerSecond: 1500, trainStepsPerSecond: 1.5, trainLoss: 0.5 },
      bestModel: { step: 9, metric: "eval_loss", value: 0.5, isLoaded: true },
      modelFolder: "runs/a/model",
    },
    time,
  ),
  createEvent(
    "run-error",
    12,
    { name: "TrainingError", code: "not-finite", message: "m", facts: { step: 12 }, stack: "at x" },
    time,
  ),
];
