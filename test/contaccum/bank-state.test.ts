import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Reference } from "@gradbank/bridge";
import {
  AdamW,
  CachedMultipleNegativesRankingLoss,
  EmbeddingBank,
  type EmbeddingBankOptions,
  InMemoryDataset,
  type Loss,
  MultipleNegativesRankingLoss,
  SentenceEncoder,
  Trainer,
  type TrainerCallback,
  type TrainingArgumentsInput,
} from "@gradbank/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sampleColumns, sampleTexts, smallModel } from "../support/small-models.ts";
import { RecordingLoss } from "./recording-loss.ts";

let folder: string;
let outputDir: string;
beforeAll(async () => {
  outputDir = await mkdtemp(join(tmpdir(), "gradbank-bank-state-"));
  const reference = await Reference.start({ threads: 1 });
  folder = await smallModel(reference, "bert");
  await reference.close();
});
afterAll(() => rm(outputDir, { recursive: true }));

type LossName = "MultipleNegativesRankingLoss" | "CachedMultipleNegativesRankingLoss";
const lossNames: readonly LossName[] = ["MultipleNegativesRankingLoss", "CachedMultipleNegativesRankingLoss"];

function makeLoss(name: LossName, bank?: EmbeddingBank): Loss {
  return name === "MultipleNegativesRankingLoss"
    ? new MultipleNegativesRankingLoss(bank ? { bank } : {})
    : new CachedMultipleNegativesRankingLoss({ ...(bank ? { bank } : {}), miniBatchSize: 5 });
}

const rows = Array.from({ length: 46 }, (_, row) => [
  `${sampleTexts[row % 16]!} ${row % 23}`,
  `${sampleTexts[(row * 7 + 3) % 16]!} ${row}`,
]);

interface TrainedState {
  readonly weights: Float32Array;
  readonly losses: readonly number[];
  readonly bank: EmbeddingBank;
  readonly evalLosses: readonly number[];
}

let runs = 0;

async function train(
  lossName: LossName,
  bankOptions: EmbeddingBankOptions,
  options: {
    readonly arguments?: TrainingArgumentsInput;
    readonly evaluates?: boolean;
    readonly callback?: (bank: EmbeddingBank) => TrainerCallback;
  } = {},
): Promise<TrainedState> {
  const encoder = await SentenceEncoder.load(folder, { threads: 1 });
  const bank = new EmbeddingBank(bankOptions);
  const loss = new RecordingLoss(makeLoss(lossName, bank));
  const { evaluations } = await new Trainer({
    encoder,
    loss,
    trainDataset: InMemoryDataset.fromRows(["anchor", "positive"], rows),
    ...(options.evaluates
      ? { evalDataset: InMemoryDataset.fromRows(["anchor", "positive"], rows.slice(0, 11).toReversed()) }
      : {}),
    arguments: {
      perDeviceTrainBatchSize: 8,
      perDeviceEvalBatchSize: 6,
      learningRate: 1e-3,
      numTrainEpochs: 2,
      gradientAccumulationSteps: 2,
      outputDir: join(outputDir, `run-${runs++}`),
      ...options.arguments,
    },
    ...(options.callback ? { callbacks: [options.callback(bank)] } : {}),
  }).train();
  if (options.evaluates) {
    const last = evaluations.at(-1)!.metrics.eval_loss!;
    const evaluated = makeLoss(lossName);
    const check = await new Trainer({
      encoder,
      loss: evaluated,
      trainDataset: InMemoryDataset.fromRows(["anchor", "positive"], rows.slice(0, 2)),
      evalDataset: InMemoryDataset.fromRows(["anchor", "positive"], rows.slice(0, 11).toReversed()),
      arguments: {
        maxSteps: 1,
        learningRate: 0,
        perDeviceEvalBatchSize: 6,
        evalStrategy: "steps",
        outputDir: join(outputDir, `run-${runs++}`),
      },
    }).train();
    // The same weights without any bank: the evaluation has seen none.
    expect(last).toBe(check.evaluations[0]!.metrics.eval_loss);
  }
  const weights = encoder.parameters.data.slice();
  await encoder.release();
  return {
    weights,
    losses: loss.losses,
    bank,
    evalLosses: evaluations.map(({ metrics }) => metrics.eval_loss!),
  };
}

describe.each(lossNames)("%s", (lossName) => {
  it("evaluation and measuring drift in mid-training neither read nor write the bank", async () => {
    const plain = await train(lossName, { capacity: 20 });
    const evaluated = await train(
      lossName,
      { capacity: 20 },
      {
        evaluates: true,
        arguments: { evalStrategy: "steps", evalSteps: 1, evalOnStart: true, bankDriftSteps: 1 },
      },
    );
    expect(evaluated.evalLosses.length).toBe(7);
    expect(evaluated.losses).toEqual(plain.losses);
    expect(evaluated.weights).toEqual(plain.weights);
    expect(evaluated.bank.save()).toEqual(plain.bank.save());
    expect(plain.bank.rows).toBe(20);
    const without = await train(lossName, { capacity: 1, warmupSteps: 1000 });
    // The bank did take part in training.
    expect(without.losses[3]).not.toBe(plain.losses[3]);
  });

  it("saving and restoring the bank in mid-training changes no bit of the training", async () => {
    for (const pushAt of ["forward", "optimizerStep"] as const) {
      const plain = await train(lossName, { capacity: 150, pushAt });
      const restored = await train(
        lossName,
        { capacity: 150, pushAt },
        {
          callback: (bank) => ({
            onStepEnd: ({ step }) => {
              if (step % 2 === 1) return;
              const state = structuredClone(bank.save());
              bank.reset();
              expect(bank.rows).toBe(0);
              bank.restore(state);
            },
          }),
        },
      );
      expect(restored.losses).toEqual(plain.losses);
      expect(restored.weights).toEqual(plain.weights);
      expect(restored.bank.save()).toEqual(plain.bank.save());
    }
  });

  it("another loss goes on from a saved bank bit for bit, over a bank of several blocks", async () => {
    const encoder = await SentenceEncoder.load(folder, { threads: 1 });
    const batches = Array.from({ length: 12 }, (_, step) => ({
      columns: sampleColumns(step % 4 === 3 ? 1 : 32, 3).map((column, index) =>
        encoder.tokenize(column.map((text, row) => `${text} ${(row * 3 + index + step * 11) % 200}`)),
      ),
    }));
    const initial = encoder.parameters.data.slice();
    const run = async (isInterrupted: boolean) => {
      encoder.parameters.data.set(initial);
      const optimizer = new AdamW(encoder.parameters, encoder.trainedParameters, {});
      let bank = new EmbeddingBank({ capacity: 150 });
      let loss = makeLoss(lossName, bank);
      const losses: number[] = [];
      for (const [step, batch] of batches.entries()) {
        if (isInterrupted && step % 3 === 2) {
          const state = structuredClone(bank.save());
          bank = new EmbeddingBank({ capacity: 150 });
          bank.restore(state);
          loss = makeLoss(lossName, bank);
        }
        encoder.parameters.zeroGradients();
        losses.push(await loss.forwardBackward(encoder, batch, { dropout: { seed: 3, step } }));
        optimizer.step(1e-3, 1);
        loss.onOptimizerStep();
      }
      expect(bank.rows).toBe(150);
      return { losses, weights: encoder.parameters.data.slice(), bank: bank.save() };
    };
    const whole = await run(false);
    const resumed = await run(true);
    expect(resumed.losses).toEqual(whole.losses);
    expect(resumed.weights).toEqual(whole.weights);
    expect(resumed.bank).toEqual(whole.bank);
    await encoder.release();
  });

  it("the trainer tells a wrapped loss of each optimizer step: the bank is emptied", async () => {
    const rowsAtStepEnd: number[] = [];
    const reset = await train(
      lossName,
      { capacity: 100, resetAtOptimizerStep: true },
      {
        callback: (bank) => ({ onStepEnd: () => void rowsAtStepEnd.push(bank.rows) }),
      },
    );
    expect(rowsAtStepEnd).toEqual([0, 0, 0, 0, 0, 0]);
    expect(reset.losses).toHaveLength(12);
    const kept = await train(lossName, { capacity: 100 });
    // The first group's second batch already sees the first; later groups see more where rows are kept.
    expect(kept.losses.slice(0, 2)).toEqual(reset.losses.slice(0, 2));
    expect(kept.losses[2]).toBeGreaterThan(reset.losses[2]!);
  });
});
