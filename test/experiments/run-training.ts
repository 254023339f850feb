import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Batch,
  type Dataset,
  type ForwardBackwardOptions,
  InformationRetrievalEvaluator,
  SentenceEncoder,
  selectRows,
  Trainer,
} from "@gradbank/core";
import { readMemory, resetPeakMemory } from "../bench/process-memory.ts";
import { median } from "../bench/statistics.ts";
import { buildLoss } from "./build-loss.ts";
import type { TrainingArm, UntrainedArm } from "./experiment.ts";
import { lengthGroupedSampler } from "./length-groups.ts";
import { type LoadedData, loadExperimentData } from "./load-data.ts";
import {
  type Evaluation,
  type FoundByRun,
  noSteps,
  type ReportProgress,
  type RunRequest,
  type RunSteps,
} from "./run-result.ts";

/** Trains an arm with the Trainer; records time and memory of every batch, and what each evaluation finds. */
export async function runTraining(request: RunRequest, arm: TrainingArm, report: ReportProgress): Promise<FoundByRun> {
  const { evaluator, encoder, ...prepared } = await prepare(request);
  const { trainRows = prepared.train.length } = arm;
  const train = selectRows(
    prepared.train,
    Int32Array.from({ length: trainRows }, (_, row) => row),
  );
  const outputDir = await mkdtemp(join(tmpdir(), "gradbank-experiment-"));
  const loss = buildLoss(arm.loss);
  const steps = { pairs: [] as number[], seconds: [] as number[], resident: [] as number[], loss: [] as number[] };
  const forwardBackward = loss.forwardBackward.bind(loss);
  // The thread's memory grew from batch to batch, not from update to update: every batch is looked at.
  loss.forwardBackward = async (...parameters: [SentenceEncoder, Batch, ForwardBackwardOptions?]) => {
    const began = performance.now();
    const value = await forwardBackward(...parameters);
    steps.seconds.push((performance.now() - began) / 1000);
    steps.pairs.push(parameters[1].columns[0]!.length);
    steps.resident.push(readMemory().resident);
    steps.loss.push(value);
    return value;
  };
  let [seconds, pairs, peak] = [0, 0, 0];
  const updateSeconds: number[] = [];
  const evaluations: Evaluation[] = [];
  const drift: { step: number; meanCosine: number }[] = [];
  const positiveRanks: number[] = [];
  const gradientRatios: number[] = [];
  let maskedDuplicates = 0;
  const resets = resetPeakMemory();
  const processor = process.cpuUsage();
  let processorSeconds = 0;
  const measureDrift = loss.measureBankDrift.bind(loss);
  loss.measureBankDrift = async (given: SentenceEncoder) => {
    const found = await measureDrift(given);
    if (found) drift.push({ step: updateSeconds.length, meanCosine: found.meanCosine });
    return found;
  };
  try {
    const trainer = new Trainer({
      encoder,
      loss,
      trainDataset: train,
      evaluator,
      arguments: {
        evalStrategy: "steps",
        ...arm.arguments,
        seed: request.seed,
        outputDir,
        saveStrategy: "no",
      },
      ...(arm.groupByLength ? { sampler: await groupedSampler(arm, train, encoder, request.seed) } : {}),
      callbacks: [
        {
          onStepEnd: ({ step, maxSteps }, _, event) => {
            // The Trainer's own clock of an update: reading, tokenizing, gradients and weights.
            const taken = Object.values(event.timings).reduce((sum, milliseconds) => sum + milliseconds, 0) / 1000;
            updateSeconds.push(taken);
            seconds += taken;
            pairs = steps.pairs.reduce((sum, rows) => sum + rows, 0);
            peak = Math.max(peak, readMemory().peak);
            processorSeconds = processorTime(process.cpuUsage(processor));
            if (event.bank) {
              positiveRanks.push(event.bank.positiveRank);
              maskedDuplicates += event.bank.maskedDuplicates;
            }
            if (event.gradientNorms) gradientRatios.push(event.gradientNorms.ratio);
            report(step, maxSteps, `loss ${event.loss.toFixed(3)}`);
          },
          onEvaluate: ({ step, maxSteps }, _, { metrics }) => {
            const ndcgAt10 = metrics[evaluator.primaryMetric]!;
            evaluations.push({ step, pairs, seconds, ndcgAt10 });
            report(step, maxSteps, `NDCG@10 ${ndcgAt10.toFixed(4)}`);
            // What the evaluation took is no memory of training.
            if (resets) resetPeakMemory();
          },
        },
      ],
    });
    await trainer.train();
  } finally {
    await rm(outputDir, { recursive: true, force: true });
  }
  return {
    metrics: {
      ndcgAt10: evaluations.at(-1)!.ndcgAt10,
      trainSeconds: seconds,
      // What compiling the programs takes in the first updates is not in it, and one slow update does not count.
      steadySeconds: median(updateSeconds) * updateSeconds.length,
      processorSeconds,
      pairs,
      pairsPerSecond: pairs / seconds,
      updates: updateSeconds.length,
      peakMemory: peak,
      ...describeSteps(steps),
      bankBytes: loss.banks.reduce((sum, bank) => sum + bank.bytes, 0),
      lastLoss: mean(steps.loss.slice(-Math.ceil(steps.loss.length / 10))),
      ...(gradientRatios.length > 0 ? { gradientNormRatio: median(gradientRatios) } : {}),
      ...(positiveRanks.length > 0
        ? { positiveRank: mean(positiveRanks.slice(-Math.ceil(positiveRanks.length / 4))), maskedDuplicates }
        : {}),
      ...(drift.length > 0 ? { driftCosine: mean(drift.map(({ meanCosine }) => meanCosine)) } : {}),
    },
    evaluations,
    steps,
    drift,
  };
}

function groupedSampler({ arguments: given }: TrainingArm, train: Dataset, encoder: SentenceEncoder, seed: number) {
  return lengthGroupedSampler(train, {
    batchSize: given.perDeviceTrainBatchSize!,
    batchesPerUpdate: given.gradientAccumulationSteps ?? 1,
    updates: given.maxSteps!,
    seed,
    measure: (texts) => encoder.tokenize(texts).reduce((sum, { length }) => sum + length, 0),
  });
}

/** Measures the model before any training. */
export async function measureUntrained(
  request: RunRequest,
  _arm: UntrainedArm,
  report: ReportProgress,
): Promise<FoundByRun> {
  const { evaluator, encoder } = await prepare(request);
  const metrics = await evaluator.evaluate(encoder);
  const ndcgAt10 = metrics[evaluator.primaryMetric]!;
  report(1, 1, `NDCG@10 ${ndcgAt10.toFixed(4)}`);
  return {
    metrics: { ndcgAt10 },
    evaluations: [{ step: 0, pairs: 0, seconds: 0, ndcgAt10 }],
    steps: noSteps,
    drift: [],
  };
}

async function prepare({ experiment, model, dataPath, threads }: RunRequest): Promise<{
  readonly train: LoadedData["train"];
  readonly evaluator: InformationRetrievalEvaluator;
  readonly encoder: SentenceEncoder;
}> {
  const { train, retrieval } = await loadExperimentData(experiment.data!, dataPath);
  const encoder = await SentenceEncoder.load(model, { threads, maxSequenceLength: experiment.maximumLength });
  return { train, encoder, evaluator: new InformationRetrievalEvaluator({ ...retrieval, writeCsv: false }) };
}

/** Seconds that all threads together have computed. */
function processorTime({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1e6;
}

/** Numbers of a run's batches: how the last ones differ from the first. */
export function describeSteps({ seconds, resident }: Pick<RunSteps, "seconds" | "resident">): Record<string, number> {
  // The first batch compiles the programs of an empty bank, the second those of a bank with rows.
  const settled = seconds.length > 6 ? seconds.slice(2) : seconds;
  const part = Math.max(1, Math.floor(settled.length / 8));
  return {
    batches: seconds.length,
    firstSeconds: median(settled.slice(0, part)),
    lastSeconds: median(settled.slice(-part)),
    residentGrowth: growth(resident),
  };
}

/** Bytes by which resident memory grew from the second quarter of the steps to the last one, by their medians. */
export function growth(resident: readonly number[]): number {
  const quarter = Math.floor(resident.length / 4);
  if (quarter < 1) return 0;
  return median(resident.slice(-quarter)) - median(resident.slice(quarter, 2 * quarter));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
