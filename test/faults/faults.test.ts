import { execFileSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Reference } from "@gradbank/bridge";
import {
  CachedMultipleNegativesRankingLoss,
  InMemoryDataset,
  loadDataset,
  MultipleNegativesRankingLoss,
  readEventLog,
  readSafetensors,
  SentenceEncoder,
  Trainer,
  writeSafetensors,
} from "@gradbank/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectClose } from "../support/expect-close.ts";
import { sampleColumns, smallModel } from "../support/small-models.ts";

let reference: Reference;
let folder: string;
let workspace: string;
beforeAll(async () => {
  reference = await Reference.start({ threads: 1 });
  folder = await smallModel(reference, "bert");
  workspace = await mkdtemp(join(tmpdir(), "gradbank-faults-"));
});
afterAll(async () => {
  await reference?.close();
  await rm(workspace, { recursive: true });
});

describe("data", () => {
  it("an empty file and a missing column are named", async () => {
    const empty = join(workspace, "empty.jsonl");
    await writeFile(empty, "");
    await expect(loadDataset(empty)).rejects.toThrow(/empty\.jsonl/);
    const pairs = join(workspace, "pairs.jsonl");
    await writeFile(pairs, '{"question": "a", "answer": "b"}\n');
    await expect(loadDataset(pairs, { columns: ["question", "reply"] })).rejects.toThrow(/reply/);
  });

  it("one column is refused before anything is trained", async () => {
    const encoder = await SentenceEncoder.load(folder, { threads: 1 });
    const trainDataset = InMemoryDataset.fromRows(["text"], [["a"], ["b"]]);
    expect(() => new Trainer({ encoder, loss: new MultipleNegativesRankingLoss(), trainDataset })).toThrow(
      /one column \(text\); MultipleNegativesRankingLoss needs at least an anchor and a positive/,
    );
    await encoder.release();
  });
});

describe("batches and texts", () => {
  it("a batch of one row has the loss and the gradients that Python gives it", async () => {
    const encoder = await SentenceEncoder.load(folder, { threads: 1 });
    const model = await reference.loadModel(folder);
    const columns = sampleColumns(1, 3).map((texts) => encoder.tokenize(texts));
    for (const loss of [new MultipleNegativesRankingLoss(), new CachedMultipleNegativesRankingLoss()]) {
      encoder.parameters.zeroGradients();
      const value = await loss.forwardBackward(encoder, { columns });
      const theirs = await reference.lossStep({
        model,
        loss: { class: loss.name as "MultipleNegativesRankingLoss" },
        columns: columns.map((tokens) => ({ tokens })),
      });
      expectClose([value], [theirs.loss], 1e-5, "loss");
      for (const [name, { data }] of Object.entries(theirs.parameterGradients))
        expectClose(encoder.parameters.gradient(name), data, 1e-5, name);
    }
    await encoder.release();
  });

  it("columns of different lengths and single columns are refused with their sizes", async () => {
    const encoder = await SentenceEncoder.load(folder, { threads: 1 });
    const [anchors, positives] = sampleColumns(3, 2).map((texts) => encoder.tokenize(texts));
    for (const loss of [new MultipleNegativesRankingLoss(), new CachedMultipleNegativesRankingLoss()]) {
      await expect(loss.forwardBackward(encoder, { columns: [anchors!, positives!.slice(1)] })).rejects.toThrow(
        /expected columns of one length of at least 1, got 3, 2 rows/,
      );
      await expect(loss.forwardBackward(encoder, { columns: [anchors!] })).rejects.toThrow(/at least 2 columns.*got 1/);
      await expect(loss.forwardBackward(encoder, { columns: [[], []] })).rejects.toThrow(/got 0, 0 rows/);
    }
    await encoder.release();
  });

  it("a text of 10,000 words, emoji and nothing at all are encoded as in Python", async () => {
    const encoder = await SentenceEncoder.load(folder, { threads: 1 });
    const model = await reference.loadModel(folder);
    const texts = ["bank ".repeat(10_000), "😀😀🎉", "", " \n\t "];
    const ours = await encoder.encode(texts);
    expectClose(ours.data, (await reference.encode(model, texts)).data, 1e-5, "embeddings");
    expect((await encoder.encode([])).rows).toBe(0);
    await expect(encoder.encode(["a", null as unknown as string])).rejects.toThrow(/text 1 of 2 is null/);
    await encoder.release();
  });
});

describe("weights", () => {
  it("a NaN is found on loading, with its tensor and place", async () => {
    const broken = await copyWithWeights("nan", (weights) => {
      weights.get("encoder.layer.0.output.dense.weight")!.data[5] = Number.NaN;
    });
    await expect(SentenceEncoder.load(broken)).rejects.toThrow(
      /encoder\.layer\.0\.output\.dense\.weight.*holds NaN at index 5/,
    );
  });

  it("weights that do not fit config.json are named with both shapes", async () => {
    const broken = await copyWithWeights("shape", (weights) => {
      weights.set("encoder.layer.0.output.dense.weight", { shape: [3, 2], data: new Float32Array(6) });
    });
    await expect(SentenceEncoder.load(broken)).rejects.toThrow(/do not fit its config\.json.*\[3, 2\]/);
    const missing = await copyWithWeights("missing", (weights) => {
      weights.delete("encoder.layer.1.attention.self.query.bias");
    });
    await expect(SentenceEncoder.load(missing)).rejects.toThrow(
      /no parameter "encoder\.layer\.1\.attention\.self\.query\.bias"/,
    );
  });

  it("an architecture that is not supported is named", async () => {
    const other = join(workspace, "other");
    await cp(folder, other, { recursive: true });
    const config = JSON.parse(await readFile(join(other, "config.json"), "utf8"));
    await writeFile(join(other, "config.json"), JSON.stringify({ ...config, model_type: "modernbert" }));
    await expect(SentenceEncoder.load(other)).rejects.toThrow(
      /model_type "modernbert"; supported are bert, roberta, xlm-roberta, mpnet, distilbert/,
    );
  });

  async function copyWithWeights(
    name: string,
    change: (weights: Map<string, { shape: readonly number[]; data: Float32Array }>) => void,
  ): Promise<string> {
    const copy = join(workspace, name);
    await cp(folder, copy, { recursive: true });
    const { tensors } = await readSafetensors(join(folder, "model.safetensors"));
    const weights = new Map([...tensors].map(([key, { shape, data }]) => [key, { shape, data: data as Float32Array }]));
    change(weights);
    await writeSafetensors(join(copy, "model.safetensors"), weights, { format: "pt" });
    return copy;
  }
});

describe("training", () => {
  it("stops before the update whose loss is not finite, and says so in the events", async () => {
    const encoder = await SentenceEncoder.load(folder, { threads: 1 });
    const rows = sampleColumns(12, 2);
    const outputDir = join(workspace, "diverged");
    const trainer = new Trainer({
      encoder,
      loss: new MultipleNegativesRankingLoss(),
      trainDataset: InMemoryDataset.fromColumns({ anchor: rows[0]!, positive: rows[1]! }),
      callbacks: [
        {
          onStepEnd: ({ step }) => {
            if (step === 2) encoder.parameters.get("encoder.layer.0.output.dense.bias").data.fill(Number.NaN);
          },
        },
      ],
      arguments: { outputDir, perDeviceTrainBatchSize: 3 },
    });
    await expect(trainer.train()).rejects.toThrow(/The loss of update 3 is NaN.*Rows of the batch: \d+, \d+, \d+/);
    const events = readEventLog(join(outputDir, "events.jsonl"));
    expect(events.map((event) => event.type)).toEqual(["run-start", "step-end", "step-end", "run-error", "run-end"]);
    expect(events.at(-2)).toMatchObject({ code: "non-finite-loss", step: 2 });
    expect(events.at(-1)).toMatchObject({ reason: "failed" });
    await encoder.release();
  });

  it("stops after the update at hand when asked to", async () => {
    const encoder = await SentenceEncoder.load(folder, { threads: 1 });
    const rows = sampleColumns(12, 2);
    const trainer: Trainer = new Trainer({
      encoder,
      loss: new CachedMultipleNegativesRankingLoss({ miniBatchSize: 2 }),
      trainDataset: InMemoryDataset.fromColumns({ anchor: rows[0]!, positive: rows[1]! }),
      callbacks: [{ onStepEnd: ({ step }) => void (step === 2 && trainer.stop()) }],
      arguments: { outputDir: join(workspace, "stopped"), perDeviceTrainBatchSize: 3 },
    });
    expect(await trainer.train()).toMatchObject({ reason: "interrupted", step: 2 });
    await encoder.release();
  });

  it("gives the same weights for the same seed, and others for another", async () => {
    const rows = sampleColumns(12, 2);
    const train = async (seed: number, name: string) => {
      const encoder = await SentenceEncoder.load(folder, { threads: 1 });
      await new Trainer({
        encoder,
        loss: new CachedMultipleNegativesRankingLoss({ miniBatchSize: 2 }),
        trainDataset: InMemoryDataset.fromColumns({ anchor: rows[0]!, positive: rows[1]! }),
        arguments: { outputDir: join(workspace, name), perDeviceTrainBatchSize: 4, numTrainEpochs: 1, seed },
      }).train();
      await encoder.release();
      return Buffer.from(encoder.parameters.data.buffer).toString("base64");
    };
    const first = await train(1, "seed-1");
    expect((await train(1, "seed-1-again")) === first).toBe(true);
    expect((await train(2, "seed-2")) === first).toBe(false);
  });
});

describe("saving", () => {
  it("to a full disk fails with a clear error and leaves the model that was there", async () => {
    const disk = join(workspace, "disk");
    await mkdir(disk);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=1500k", "tmpfs", disk], { stdio: "ignore" });
    } catch {
      console.warn("SKIPPED: a small file system cannot be mounted here, so a full disk was not tried.");
      return;
    }
    try {
      const encoder = await SentenceEncoder.load(folder, { threads: 1 });
      const target = join(disk, "model");
      await encoder.save(target);
      const before = await readFile(join(target, "model.safetensors"));
      await writeFile(join(disk, "filler"), Buffer.alloc(1_500_000)).catch(() => undefined);
      encoder.parameters.data.fill(0);
      await expect(encoder.save(target)).rejects.toThrow(
        /There is no room on the disk.*what was there before is untouched/,
      );
      expect((await readFile(join(target, "model.safetensors"))).equals(before)).toBe(true);
      expect((await readdir(disk)).sort()).toEqual(["filler", "model"]);
      await encoder.release();
    } finally {
      execFileSync("umount", [disk]);
    }
  });
});
