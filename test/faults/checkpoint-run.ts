import { join } from "node:path";
import {
  CachedMultipleNegativesRankingLoss,
  EarlyStoppingCallback,
  EmbeddingBank,
  type Evaluator,
  InMemoryDataset,
  SentenceEncoder,
  Trainer,
  type TrainerCallback,
  type TrainingArgumentsInput,
  type TrainResult,
} from "@gradbank/core";
import { sampleTexts } from "../support/small-models.ts";

/** A small run with everything that has a state: dropout, a bank, accumulation, shuffles, evaluations. */
export interface CheckpointRun {
  readonly folder: string;
  readonly outputDir: string;
  readonly arguments?: TrainingArgumentsInput;
  readonly rows?: number;
  readonly bank?: boolean;
  readonly miniBatchSize?: number;
  readonly pushAt?: "forward" | "optimizerStep";
  /** Metric `dev_score` of the evaluation after update n, at place n. */
  readonly scores?: readonly number[];
  readonly earlyStopping?: number;
  readonly resume?: boolean | string;
  readonly callbacks?: (trainer: () => Trainer) => readonly TrainerCallback[];
}

export function pairs(count: number): string[][] {
  // Some texts repeat, so that NO_DUPLICATES has something to do.
  return Array.from({ length: count }, (_, row) => [
    `${sampleTexts[row % 16]!} ${Math.floor(row / 5)}`,
    `${sampleTexts[(row * 7 + 3) % 16]!} ${row}`,
  ]);
}

export const defaultArguments: TrainingArgumentsInput = {
  perDeviceTrainBatchSize: 4,
  gradientAccumulationSteps: 2,
  numTrainEpochs: 3,
  batchSampler: "no_duplicates",
  learningRate: 1e-3,
  warmupSteps: 2,
  weightDecay: 0.01,
  loggingSteps: 3,
  saveSteps: 2,
};

export interface CheckpointRunResult extends TrainResult {
  readonly weights: Float32Array;
}

export async function checkpointRun(run: CheckpointRun): Promise<CheckpointRunResult> {
  const encoder = await SentenceEncoder.load(run.folder, { threads: 1 });
  try {
    const bank = (run.bank ?? true) ? new EmbeddingBank({ capacity: 10, pushAt: run.pushAt ?? "forward" }) : undefined;
    const evaluator: Evaluator = {
      name: "dev",
      primaryMetric: "dev_score",
      evaluate: async (_, { steps = 0 } = {}) => ({ dev_score: run.scores?.[steps] ?? 0 }),
    };
    const rows = pairs(run.rows ?? 30);
    const trainer: Trainer = new Trainer({
      encoder,
      loss: new CachedMultipleNegativesRankingLoss({
        miniBatchSize: run.miniBatchSize ?? 3,
        ...(bank ? { bank } : {}),
      }),
      trainDataset: InMemoryDataset.fromRows(["anchor", "positive"], rows),
      ...(run.scores ? { evaluator } : {}),
      callbacks: [
        ...(run.earlyStopping === undefined
          ? []
          : [new EarlyStoppingCallback({ earlyStoppingPatience: run.earlyStopping })]),
        ...(run.callbacks?.(() => trainer) ?? []),
      ],
      modelFolder: join(run.outputDir, "model"),
      arguments: { ...defaultArguments, ...run.arguments, outputDir: run.outputDir },
    });
    const result = await trainer.train({ resumeFromCheckpoint: run.resume ?? false });
    return { ...result, weights: encoder.parameters.data.slice() };
  } finally {
    await encoder.release();
  }
}

/** The numbers' bits: NaN and the sign of zero count. */
export function bitsOf({ weights }: CheckpointRunResult): string {
  return Buffer.from(weights.buffer, weights.byteOffset, weights.byteLength).toString("base64");
}
