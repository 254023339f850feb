import type { Reference } from "@gradbank/bridge";
import { AdamW, type EmbeddingBank, type Loss, loadWordNet, SentenceEncoder } from "@gradbank/core";
import { drawBatches } from "../bench/pairs.ts";
import { median } from "../bench/statistics.ts";
import { buildLoss } from "./build-loss.ts";
import type { BankCostArm } from "./experiment.ts";
import { prepareSteps, startPatientPython } from "./run-pull-request.ts";
import { type FoundByRun, noSteps, type ReportProgress, type RunRequest } from "./run-result.ts";

/** A system that takes one training step at a time. */
interface Stepper {
  readonly bankRows: number;
  step(): Promise<number>;
}

/** Steps of a loss with full banks of several sizes, in turns: seconds of a step, by bank rows. */
export async function runBankCost(request: RunRequest, arm: BankCostArm, report: ReportProgress): Promise<FoundByRun> {
  const batches = await drawBatches(await loadWordNet(), arm.batchSize, arm.rounds + 1);
  const open: Reference[] = [];
  try {
    const steppers =
      arm.side === "gradbank"
        ? await gradbankSteppers(request, arm, batches, report)
        : await pullRequestSteppers(request, arm, batches, open, report);
    const seconds = new Map(steppers.map(({ bankRows }) => [bankRows, [] as number[]]));
    for (let round = 0; round <= arm.rounds; round++)
      for (const stepper of steppers) {
        const taken = await stepper.step();
        // The first step compiles programs.
        if (round > 0) seconds.get(stepper.bankRows)!.push(taken);
        report(round + 1, arm.rounds + 1, `bank of ${stepper.bankRows}: ${taken.toFixed(3)} s`);
      }
    const none = seconds.get(0);
    const metrics: Record<string, number> = {};
    for (const [rows, values] of seconds) {
      metrics[`seconds${rows}`] = median(values);
      if (none) metrics[`ratio${rows}`] = median(values.map((value, round) => value / none[round]!));
    }
    return { metrics, evaluations: [], steps: noSteps, drift: [] };
  } finally {
    await Promise.all(open.map((reference) => reference.close()));
  }
}

async function gradbankSteppers(
  { model, threads, seed, experiment }: RunRequest,
  arm: BankCostArm,
  batches: readonly (readonly (readonly string[])[])[],
  report: ReportProgress,
): Promise<Stepper[]> {
  const encoder = await SentenceEncoder.load(model, { threads, maxSequenceLength: experiment.maximumLength });
  const optimizer = new AdamW(encoder.parameters, encoder.trainedParameters);
  return arm.bankRows.map((bankRows) => {
    const loss = buildLoss({
      ...arm.loss,
      ...(bankRows > 0 ? { bank: { ...arm.loss.bank, capacity: bankRows } } : {}),
    });
    let done = 0;
    const step = async () => {
      const rows = batches[done++]!;
      const began = performance.now();
      const columns = rows[0]!.map((_, column) => encoder.tokenize(rows.map((row) => row[column]!)));
      encoder.parameters.zeroGradients();
      await loss.forwardBackward(encoder, { columns }, { dropout: { seed, step: done } });
      optimizer.step(1e-5);
      loss.onOptimizerStep();
      return (performance.now() - began) / 1000;
    };
    let isFull = bankRows === 0;
    return {
      bankRows,
      step: async () => {
        if (!isFull) {
          report(0, arm.rounds + 1, `filling a bank of ${bankRows}`);
          fill(loss, encoder.dimension);
          isFull = true;
        }
        return step();
      },
    };
  });
}

/** Fills a loss's bank with random rows of length 1, queries near their documents as in training. */
export function fill(loss: Loss, dimension: number): void {
  for (const bank of loss.banks) fillBank(bank, dimension);
}

function fillBank(bank: EmbeddingBank, dimension: number): void {
  const rows = bank.capacity;
  // A simple generator with a fixed seed: what lies in the bank changes no step's time, but runs shall be alike.
  let state = 1;
  const random = () => {
    state = Math.imul(state, 1664525) + 1013904223;
    return (state >>> 8) / 2 ** 24 - 0.5;
  };
  const columns = [new Float32Array(rows * dimension), new Float32Array(rows * dimension)] as const;
  for (let row = 0; row < rows; row++) {
    const document = Array.from({ length: dimension }, random);
    const query = document.map((value) => value + random());
    for (const [column, values] of [query, document].entries()) {
      const length = Math.hypot(...values);
      columns[column]!.set(
        values.map((value) => value / length),
        row * dimension,
      );
    }
  }
  // Negative keys belong to no text.
  const keys = [1, 2].map((column) => Float64Array.from({ length: rows }, (_, row) => -(2 * row + column)));
  bank.allocate(2, dimension, rows);
  bank.push({ rows, embeddings: columns, keys });
}

/**
 * The pull request keeps whole batches, so its cache is filled by one batch of as many rows: very short texts, whose
 * encoding takes little. The cache is large enough to keep it.
 */
async function pullRequestSteppers(
  { model, threads, seed, experiment }: RunRequest,
  arm: BankCostArm,
  batches: readonly (readonly (readonly string[])[])[],
  open: Reference[],
  report: ReportProgress,
): Promise<Stepper[]> {
  const { folder } = (await SentenceEncoder.load(model)).folder.transformer;
  const steppers: Stepper[] = [];
  for (const bankRows of arm.bankRows) {
    const reference = await startPatientPython();
    open.push(reference);
    const filling = Array.from({ length: bankRows }, (_, row) => [`${row % 1000}`, `${Math.floor(row / 1000)}`]);
    await prepareSteps(reference, {
      folder,
      arm: {
        miniBatchSize: arm.loss.miniBatchSize ?? 32,
        cacheSize: bankRows > 0 ? batches.length + 2 : 0,
        learningRate: 1e-5,
      },
      batches: bankRows > 0 ? [filling, ...batches] : batches,
      maximumLength: experiment.maximumLength,
      threads,
      seed,
    });
    if (bankRows > 0) {
      report(0, arm.rounds + 1, `filling a cache of ${bankRows} in Python`);
      await reference.benchmarkRound(1);
    }
    steppers.push({ bankRows, step: async () => (await reference.benchmarkRound(1)).seconds[0]! });
  }
  return steppers;
}
