import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Reference } from "@gradbank/bridge";
import {
  CachedMultipleNegativesRankingLoss,
  EmbeddingBank,
  GivenBatchSampler,
  InMemoryDataset,
  type Loss,
  MultipleNegativesRankingLoss,
  readEventLog,
  SentenceEncoder,
  Trainer,
} from "@gradbank/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectClose } from "../support/expect-close.ts";
import { sampleTexts, smallModel } from "../support/small-models.ts";
import { RecordingLoss } from "./recording-loss.ts";

let reference: Reference;
let outputDir: string;
let folder: string;
beforeAll(async () => {
  reference = await Reference.start({ threads: 1 });
  outputDir = await mkdtemp(join(tmpdir(), "gradbank-pull-request-"));
  folder = await smallModel(reference, "bert");
});
afterAll(async () => {
  await reference?.close();
  await rm(outputDir, { recursive: true });
});

const updates = 12;
const epochs = 2;
const batchSize = 5;
const columnNames = ["anchor", "positive", "negative"];

/** Attention key biases: their gradient is zero but for rounding, which Adam divides by its own size. */
const isKeyBias = (name: string) => /self\.key\.bias$/.test(name);

/** Rows for two passes of six updates each, the last batch of a pass short: the bank then holds a gap. */
function makeRows(batches: number, columns: number): string[][] {
  return Array.from({ length: batches * batchSize - 2 }, (_, row) =>
    Array.from(
      { length: columns },
      (__, column) => `${sampleTexts[(row * (2 * column + 1) + 5 * column) % 16]!} ${row}`,
    ),
  );
}

describe.each([
  [1, true, 3, "CachedMultipleNegativesRankingLoss"],
  [1, false, 3, "CachedMultipleNegativesRankingLoss"],
  [4, true, 2, "CachedMultipleNegativesRankingLoss"],
  [4, false, 3, "CachedMultipleNegativesRankingLoss"],
  [8, true, 2, "CachedMultipleNegativesRankingLoss"],
  [8, false, 2, "CachedMultipleNegativesRankingLoss"],
  // The pull request knows GradCache only; without dropout the direct loss computes the same.
  [1, true, 2, "MultipleNegativesRankingLoss"],
] as const)("%i accumulation steps, prev_cache %s, %i columns, %s", (accumulation, prevCache, columns, lossName) => {
  it("takes twelve steps with pull request 3612's losses and weights", async () => {
    const batchesPerEpoch = (accumulation * updates) / epochs;
    const rows = makeRows(batchesPerEpoch, columns);
    const names = columnNames.slice(0, columns);
    const cacheSize = accumulation === 1 ? 4 : 6;
    const shared = {
      learningRate: 2e-5,
      warmupSteps: 3,
      numTrainEpochs: epochs,
      gradientAccumulationSteps: accumulation,
      weightDecay: 0.01,
      maxGradNorm: 1,
    };
    const batches = Array.from({ length: batchesPerEpoch }, (_, batch) =>
      rows.slice(batch * batchSize, (batch + 1) * batchSize),
    );
    const theirs = await reference.train({
      folder,
      loss: { class: "PullRequest3612", options: { miniBatchSize: 3, useContAccum: true, cacheSize, prevCache } },
      columns: names,
      batches,
      arguments: shared,
      everyStep: true,
    });
    expect(theirs.stepParameters).toHaveLength(updates);

    const encoder = await SentenceEncoder.load(folder, { threads: 1 });
    const before = encoder.parameters.data.slice();
    const bank = new EmbeddingBank({
      capacity: cacheSize,
      compatibility: "pr-3612",
      resetAtOptimizerStep: !prevCache,
    });
    const inner: Loss =
      lossName === "MultipleNegativesRankingLoss"
        ? new MultipleNegativesRankingLoss({ bank })
        : new CachedMultipleNegativesRankingLoss({ bank, miniBatchSize: 3 });
    const loss = new RecordingLoss(inner);
    const run = join(outputDir, `${accumulation}-${prevCache}-${lossName}`);
    let compared = 0;
    const result = await new Trainer({
      encoder,
      loss,
      trainDataset: InMemoryDataset.fromRows(names, rows),
      sampler: new GivenBatchSampler(
        batches.map((batch, index) => Int32Array.from(batch.keys(), (row) => index * batchSize + row)),
      ),
      dropout: false,
      arguments: { ...shared, outputDir: run, perDeviceTrainBatchSize: batchSize },
      callbacks: [
        {
          onStepEnd: ({ step }) => {
            const expected = theirs.stepParameters[step - 1]!;
            for (const { name, data } of encoder.parameters) {
              // No update is larger than about its learning rate.
              const tolerance = isKeyBias(name) ? 2 * step * shared.learningRate : 1e-6;
              expectClose(data, expected[name]!.data, tolerance, `${name} after step ${step}`);
              compared++;
            }
          },
        },
      ],
    }).train();
    expect(result).toMatchObject({ reason: "completed", step: updates });
    expect(
      Math.max(...encoder.parameters.data.map((value, index) => Math.abs(value - before[index]!))),
    ).toBeGreaterThan(5e-5);
    expect(compared).toBe(updates * [...encoder.parameters].length);

    expect(theirs.batchLosses).toHaveLength(accumulation * updates);
    expect(loss.losses).toHaveLength(accumulation * updates);
    loss.losses.forEach((value, batch) => {
      const expected = theirs.batchLosses[batch]!;
      expectClose([value], [expected], 1e-5 * expected, `loss of batch ${batch}`);
    });
    const logged = theirs.logHistory.filter((entry) => entry.grad_norm !== undefined);
    const steps = readEventLog(join(run, "events.jsonl")).filter((event) => event.type === "step-end");
    steps.forEach(({ gradNorm }, step) => {
      const norm = logged[step]!.grad_norm!;
      expectClose([gradNorm], [norm], 1e-4 * norm, `gradient norm of step ${step + 1}`);
    });

    // Rows that were cached before each batch: those of a deque of whole batches.
    const deque: number[] = [];
    const expectedRows = Array.from({ length: accumulation * updates }, (_, batch) => {
      const before = deque.reduce((sum, size) => sum + size, 0);
      deque.push(batches[batch % batchesPerEpoch]!.length);
      if (deque.length > cacheSize) deque.shift();
      if (!prevCache && (batch + 1) % accumulation === 0) deque.length = 0;
      return before;
    });
    expect(loss.bankRows).toEqual(expectedRows);
    await encoder.release();
  });
});
