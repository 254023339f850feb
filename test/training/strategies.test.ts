import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PythonServer, Reference } from "@gradbank/bridge";
import {
  EarlyStoppingCallback,
  type EarlyStoppingOptions,
  type Evaluator,
  InMemoryDataset,
  listCheckpoints,
  MultipleNegativesRankingLoss,
  readEventLog,
  SentenceEncoder,
  Trainer,
  type TrainingArgumentsInput,
} from "@gradbank/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectClose } from "../support/expect-close.ts";
import { sampleTexts, smallModel } from "../support/small-models.ts";

let folder: string;
let python: PythonServer;
let workspace: string;
beforeAll(async () => {
  const reference = await Reference.start({ threads: 1 });
  folder = await smallModel(reference, "bert");
  await reference.close();
  python = await PythonServer.start({ threads: 1 });
  workspace = await mkdtemp(join(tmpdir(), "gradbank-strategies-"));
});
afterAll(async () => {
  await python?.close();
  await rm(workspace, { recursive: true });
});

interface Case {
  readonly name: string;
  readonly arguments: TrainingArgumentsInput;
  /** The metric `dev_score` of each evaluation. Without: the loss of evaluation rows. */
  readonly scores?: readonly number[];
  readonly earlyStopping?: EarlyStoppingOptions;
}

const rows = Array.from({ length: 50 }, (_, row) => [
  `${sampleTexts[row % 16]!} ${row}`,
  `${sampleTexts[(row * 7 + 3) % 16]!} ${row}`,
]);
const evaluationRows = rows.slice(0, 11).map(([anchor, positive]) => [`${positive} a`, `${anchor} b`]);

// 50 rows in batches of 6: 9 batches an epoch, 5 updates with 2 accumulation steps.
const shared = {
  perDeviceTrainBatchSize: 6,
  perDeviceEvalBatchSize: 4,
  learningRate: 2e-5,
  numTrainEpochs: 2,
} satisfies TrainingArgumentsInput;
const rising = Array.from({ length: 40 }, (_, index) => index / 100);
const humped = [0.2, 0.5, 0.4, 0.7, 0.7, 0.6, 0.1, 0.65, 0.3, 0.2, 0.1, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const cases: readonly Case[] = [
  { name: "the defaults: a checkpoint at the end", arguments: {} },
  {
    name: "the thread's shares, two checkpoints kept",
    arguments: {
      loggingSteps: 0.05,
      evalStrategy: "steps",
      evalSteps: 0.1,
      saveSteps: 0.1,
      saveTotalLimit: 2,
      warmupSteps: 0.1,
      loggingFirstStep: true,
    },
    scores: humped,
  },
  {
    name: "everything by epoch, the run ending inside one",
    arguments: {
      loggingStrategy: "epoch",
      evalStrategy: "epoch",
      saveStrategy: "epoch",
      maxSteps: 13,
      gradientAccumulationSteps: 2,
      lrSchedulerType: "cosine",
      warmupSteps: 3,
    },
  },
  {
    name: "the best of steps, lower loss is better",
    arguments: { evalStrategy: "steps", evalSteps: 3, saveSteps: 6, loggingSteps: 4, loadBestModelAtEnd: true },
  },
  {
    name: "the best by score, kept beside the last",
    arguments: {
      evalStrategy: "steps",
      evalSteps: 2,
      saveSteps: 2,
      saveTotalLimit: 2,
      loadBestModelAtEnd: true,
      metricForBestModel: "dev_score",
      lrSchedulerType: "constant_with_warmup",
      warmupSteps: 2,
    },
    scores: humped,
  },
  {
    name: "only the best is left with a limit of one",
    arguments: {
      evalStrategy: "steps",
      evalSteps: 2,
      saveSteps: 2,
      saveTotalLimit: 1,
      loadBestModelAtEnd: true,
      metricForBestModel: "eval_dev_score",
    },
    scores: humped,
  },
  {
    name: "an evaluation without a checkpoint is not gone back to",
    arguments: {
      evalStrategy: "steps",
      evalSteps: 1,
      saveSteps: 3,
      saveTotalLimit: 3,
      loadBestModelAtEnd: true,
      metricForBestModel: "eval_dev_score",
      greaterIsBetter: true,
    },
    scores: humped,
  },
  {
    name: "lower scores are better when it is said so",
    arguments: {
      evalStrategy: "epoch",
      saveStrategy: "epoch",
      numTrainEpochs: 4,
      loadBestModelAtEnd: true,
      metricForBestModel: "dev_score",
      greaterIsBetter: false,
      saveTotalLimit: 1,
    },
    scores: [0.5, 0.2, 0.4, 0.3],
  },
  {
    name: "early stopping by steps, with patience and threshold",
    arguments: {
      evalStrategy: "steps",
      evalSteps: 2,
      saveSteps: 2,
      loadBestModelAtEnd: true,
      metricForBestModel: "dev_score",
      loggingSteps: 3,
    },
    scores: [0.2, 0.5, 0.52, 0.53, 0.4, 0.9],
    earlyStopping: { earlyStoppingPatience: 3, earlyStoppingThreshold: 0.1 },
  },
  {
    name: "early stopping by epochs",
    arguments: {
      evalStrategy: "epoch",
      saveStrategy: "epoch",
      numTrainEpochs: 6,
      loadBestModelAtEnd: true,
      metricForBestModel: "dev_score",
      saveTotalLimit: 2,
    },
    scores: [0.2, 0.5, 0.4, 0.3, 0.2, 0.9],
    earlyStopping: { earlyStoppingPatience: 2 },
  },
  {
    name: "early stopping inside an epoch, other strategies by epoch",
    arguments: {
      evalStrategy: "steps",
      evalSteps: 4,
      saveStrategy: "epoch",
      loggingStrategy: "epoch",
      metricForBestModel: "dev_score",
      numTrainEpochs: 4,
    },
    scores: [0.9, 0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1],
    earlyStopping: {},
  },
  {
    name: "a delay of evaluations, more steps than a multiple",
    arguments: { evalStrategy: "steps", evalSteps: 4, evalDelay: 6, saveSteps: 5, evalOnStart: true, loggingSteps: 7 },
    scores: rising,
  },
  {
    name: "a delay in epochs",
    arguments: { evalStrategy: "epoch", evalDelay: 2, numTrainEpochs: 3, saveStrategy: "no" },
    scores: rising,
  },
  {
    name: "no duplicates, dropping the last batch, evaluating the loss too",
    arguments: {
      batchSampler: "no_duplicates",
      dataloaderDropLast: true,
      // With batches of 4, accelerate (gather_for_metrics) would count 11 % 4 losses of the last full batch, not 4.
      perDeviceEvalBatchSize: 11,
      evalStrategy: "steps",
      evalSteps: 5,
      saveSteps: 5,
      gradientAccumulationSteps: 3,
      numTrainEpochs: 3,
      loggingSteps: 2,
      lrSchedulerType: "polynomial",
    },
  },
];

const snakeCase = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const snakeCaseKeys = (given: object) =>
  Object.fromEntries(Object.entries(given).map(([name, value]) => [snakeCase(name), value]));

/** Times, sizes of work, and what only one side has. */
const isMeasured = (name: string) => /runtime|_per_second|total_flos/.test(name);

describe.each(cases)("$name", (given) => {
  it("logs, evaluates, saves, keeps and chooses as the Python trainer does", async () => {
    const withLoss = given.scores === undefined && (given.arguments.evalStrategy ?? "no") !== "no";
    const { result, tensors } = await python.request("train_run", {
      folder,
      loss: { class: "MultipleNegativesRankingLoss" },
      columns: ["anchor", "positive"],
      rows,
      arguments: snakeCaseKeys({ ...shared, ...given.arguments }),
      ...(withLoss ? { evaluation_rows: evaluationRows } : {}),
      ...(given.scores ? { scores: given.scores } : {}),
      ...(given.earlyStopping ? { early_stopping: snakeCaseKeys(given.earlyStopping) } : {}),
    });
    const theirs = result.state as {
      global_step: number;
      best_metric: number | null;
      best_global_step: number | null;
      best_model_checkpoint: string | null;
      log_history: Record<string, number>[];
    };

    const scores = [...(given.scores ?? [])];
    const evaluator: Evaluator = {
      name: "dev",
      primaryMetric: "dev_score",
      evaluate: async () => ({ dev_score: scores.shift()! }),
    };
    const encoder = await SentenceEncoder.load(folder, { threads: 1 });
    const outputDir = join(workspace, given.name);
    const trained = await new Trainer({
      encoder,
      loss: new MultipleNegativesRankingLoss(),
      trainDataset: InMemoryDataset.fromRows(["anchor", "positive"], rows),
      ...(withLoss ? { evalDataset: InMemoryDataset.fromRows(["anchor", "positive"], evaluationRows) } : {}),
      ...(given.scores ? { evaluator } : {}),
      ...(given.earlyStopping ? { callbacks: [new EarlyStoppingCallback(given.earlyStopping)] } : {}),
      dropout: false,
      arguments: { ...shared, ...given.arguments, outputDir },
    }).train();

    expect(trained.step).toBe(theirs.global_step);
    const checkpoints = await listCheckpoints(outputDir);
    expect(checkpoints.map(({ step }) => `checkpoint-${step}`).sort()).toEqual(result.checkpoints);

    // The order of entries too; the last of theirs sums up the run.
    const ours = readEventLog(join(outputDir, "events.jsonl")).flatMap((event): Record<string, number>[] => {
      if (event.type === "log")
        return [
          {
            loss: event.loss,
            grad_norm: event.gradNorm,
            learning_rate: event.learningRate,
            epoch: event.epoch,
            step: event.step,
          },
        ];
      if (event.type !== "evaluation-end") return [];
      const metrics = Object.entries(event.metrics).map(([name, value]) => [
        `eval_${name.replace("eval_", "")}`,
        value,
      ]);
      return [{ ...Object.fromEntries(metrics), epoch: event.epoch, step: event.step }];
    });
    const logged = theirs.log_history
      .filter((entry) => entry.train_loss === undefined)
      .map((entry) => Object.fromEntries(Object.entries(entry).filter(([name]) => !isMeasured(name))));
    expect(ours.map((entry) => Object.keys(entry).sort())).toEqual(logged.map((entry) => Object.keys(entry).sort()));
    for (const [index, entry] of logged.entries())
      for (const [name, value] of Object.entries(entry)) {
        const tolerance = /loss|grad_norm/.test(name) ? 1e-4 * value : /learning_rate|epoch/.test(name) ? 1e-15 : 0;
        expectClose([ours[index]![name]!], [value], tolerance, `${name} of entry ${index}`);
      }

    const { best_metric: bestMetric, best_global_step: bestStep, best_model_checkpoint: bestCheckpoint } = theirs;
    if (bestStep === null) expect(trained.bestModel?.step).toBe(undefined);
    else expect(trained.bestModel).toMatchObject({ step: bestStep });
    if (bestMetric !== null) expect(trained.bestModel!.value).toBeCloseTo(bestMetric, 4);
    expect(trained.bestModel?.isLoaded ?? false).toBe(
      (given.arguments.loadBestModelAtEnd ?? false) && bestCheckpoint !== null,
    );
    for (const { name, data } of encoder.parameters) {
      // Attention key biases have no gradient but rounding.
      const tolerance = /self\.key\.bias$/.test(name) ? 2 * trained.step * 2e-5 : 2e-6;
      expectClose(data, tensors[`parameters.${name}`]!.data as Float32Array, tolerance, name);
    }
    await encoder.release();
  });
});
