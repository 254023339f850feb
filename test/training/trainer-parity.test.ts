import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Reference } from "@gradbank/bridge";
import {
  CachedMultipleNegativesRankingLoss,
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

let reference: Reference;
let outputDir: string;
beforeAll(async () => {
  reference = await Reference.start({ threads: 1 });
  outputDir = await mkdtemp(join(tmpdir(), "gradbank-training-"));
});
afterAll(async () => {
  await reference?.close();
  await rm(outputDir, { recursive: true });
});

const updates = 10;

/** Attention key biases: their gradient is zero but for rounding, which Adam divides by its own size. */
const isKeyBias = (name: string) => /(self\.key|attn\.k|k_lin)\.bias$/.test(name);

describe.each([
  ["bert", 1, "MultipleNegativesRankingLoss", 2e-5],
  ["bert", 3, "CachedMultipleNegativesRankingLoss", 2e-5],
  ["mpnet", 1, "CachedMultipleNegativesRankingLoss", 2e-5],
  ["roberta", 2, "MultipleNegativesRankingLoss", 2e-5],
  ["distilbert", 1, "MultipleNegativesRankingLoss", 2e-5],
  ["minilm", 1, "CachedMultipleNegativesRankingLoss", 2e-5],
] as const)("%s, %i accumulation steps, %s", (architecture, accumulation, lossName, learningRate) => {
  it("ends ten updates in the Python trainer's weights, with its losses, norms and learning rates", async () => {
    const folder =
      architecture === "minilm" ? await reference.minilmFolder() : await smallModel(reference, architecture);
    const batchSize = 6;
    const rows = Array.from({ length: batchSize * accumulation * updates }, (_, row) => [
      `${sampleTexts[row % 16]!} ${row}`,
      `${sampleTexts[(row * 7 + 3) % 16]!} ${row}`,
    ]);
    const batches = Array.from({ length: accumulation * updates }, (_, batch) =>
      rows.slice(batch * batchSize, (batch + 1) * batchSize),
    );
    const shared = {
      learningRate,
      warmupSteps: 3,
      maxSteps: updates,
      gradientAccumulationSteps: accumulation,
      weightDecay: 0.01,
      maxGradNorm: 1,
    };
    const theirs = await reference.train({
      folder,
      loss: { class: lossName, ...(lossName.startsWith("Cached") ? { options: { miniBatchSize: 4 } } : {}) },
      columns: ["anchor", "positive"],
      batches,
      arguments: shared,
    });

    const encoder = await SentenceEncoder.load(folder, { threads: 1 });
    const before = encoder.parameters.data.slice();
    const loss: Loss = lossName.startsWith("Cached")
      ? new CachedMultipleNegativesRankingLoss({ miniBatchSize: 4 })
      : new MultipleNegativesRankingLoss();
    const run = join(outputDir, `${architecture}-${accumulation}-${lossName}`);
    const result = await new Trainer({
      encoder,
      loss,
      trainDataset: InMemoryDataset.fromRows(["anchor", "positive"], rows),
      sampler: new GivenBatchSampler(
        batches.map((_, batch) => Int32Array.from({ length: batchSize }, (__, row) => batch * batchSize + row)),
      ),
      dropout: false,
      arguments: { ...shared, outputDir: run, perDeviceTrainBatchSize: batchSize },
    }).train();
    expect(result).toMatchObject({ reason: "completed", step: updates });

    const steps = readEventLog(join(run, "events.jsonl")).filter((event) => event.type === "step-end");
    const logged = theirs.logHistory.filter((entry) => entry.learning_rate !== undefined);
    expect(steps.map((event) => event.learningRate)).toEqual(logged.map((entry) => entry.learning_rate));
    steps.forEach((event, step) => {
      const losses = theirs.batchLosses.slice(step * accumulation, (step + 1) * accumulation);
      const mean = losses.reduce((sum, value) => sum + value, 0) / accumulation;
      expectClose([event.loss], [mean], 1e-5 * mean, `loss of update ${step + 1}`);
      const norm = logged[step]!.grad_norm!;
      expectClose([event.gradNorm], [norm], 1e-4 * norm, `gradient norm of update ${step + 1}`);
    });
    for (const { name, data, offset, size } of encoder.parameters) {
      const expected = theirs.parameters[name]!.data;
      if (isKeyBias(name)) {
        // No update is larger than about its learning rate.
        expectClose(data, expected, 2 * updates * learningRate, name);
        continue;
      }
      expectClose(data, expected, 1e-6, name);
      if (encoder.trainedParameters.has(name) && !name.startsWith("embeddings."))
        expect(
          data.some((value, index) => Math.abs(value - before[offset + index]!) > 1e-5),
          `${name} (${size} numbers) was trained`,
        ).toBe(true);
    }
    await encoder.release();
  });
});
