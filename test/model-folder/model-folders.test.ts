import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RandomArchitecture, Reference } from "@gradbank/bridge";
import { SentenceEncoder } from "@gradbank/core";
import { env, pipeline } from "@huggingface/transformers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectClose } from "../support/expect-close.ts";
import { sampleTexts, smallModel } from "../support/small-models.ts";

let reference: Reference;
let workspace: string;
beforeAll(async () => {
  reference = await Reference.start({ threads: 1 });
  workspace = await mkdtemp(join(tmpdir(), "gradbank-folders-"));
});
afterAll(async () => {
  await reference?.close();
  await rm(workspace, { recursive: true });
});

const texts = [...sampleTexts, "", "😀🚀", "İstanbul, naïve café — 東京", `${"long ".repeat(300)}end`];
const architectures: readonly RandomArchitecture[] = ["bert", "roberta", "xlm-roberta", "mpnet", "distilbert"];

describe.each([...architectures, "minilm"] as const)("%s", (architecture) => {
  it("encodes as Python does, and what it saves opens in Python and in transformers.js", async () => {
    const folder =
      architecture === "minilm" ? await reference.minilmFolder() : await smallModel(reference, architecture);
    const encoder = await SentenceEncoder.load(folder, { threads: 1 });
    const model = await reference.loadModel(folder);
    expect(encoder.maxSequenceLength).toBe(model.maxSeqLength);
    expect(encoder.tokenize(texts).map((sequence) => [...sequence])).toEqual(await reference.tokenize(model, texts));

    const ours = await encoder.encode(texts);
    const theirs = await reference.encode(model, texts);
    expect(theirs.shape).toEqual([ours.rows, ours.dimension]);
    expectClose(ours.data, theirs.data, 1e-5, "embeddings");

    // A change that must survive: training is nothing else.
    for (const { name, data } of encoder.parameters)
      if (encoder.trainedParameters.has(name)) data.set(data.map((value) => value * 1.01 + 0.001));
    const changed = await encoder.encode(texts);
    const saved = join(workspace, architecture);
    await encoder.save(saved);

    const again = await SentenceEncoder.load(saved, { threads: 1 });
    expectClose((await again.encode(texts)).data, changed.data, 0, "embeddings after loading again");
    const inPython = await reference.loadModel(saved);
    expect(inPython.maxSeqLength).toBe(model.maxSeqLength);
    expectClose(changed.data, (await reference.encode(inPython, texts)).data, 1e-5, "embeddings in Python");
    const parameters = await reference.parameters(inPython);
    for (const { name, data } of encoder.parameters) expectClose(data, parameters[name]!.data, 0, name);

    env.allowRemoteModels = false;
    env.localModelPath = workspace;
    const extract = await pipeline("feature-extraction", architecture, { dtype: "fp32" });
    const pooled = await extract([...sampleTexts], { pooling: "mean", normalize: encoder.folder.normalize });
    expectClose(
      pooled.data as Float32Array,
      changed.data.subarray(0, sampleTexts.length * ours.dimension),
      1e-5,
      "embeddings in transformers.js",
    );
    await extract.dispose();
    await again.release();
    await encoder.release();
  });
});

it("opens bare transformers folders with mean pooling, as sentence-transformers does", async () => {
  const folder = await smallModel(reference, "mpnet", { bare: true });
  const encoder = await SentenceEncoder.load(folder, { threads: 1 });
  const model = await reference.loadModel(folder);
  expectClose((await encoder.encode(texts)).data, (await reference.encode(model, texts)).data, 1e-5, "embeddings");
  await encoder.release();
});

it("continues from what Python saved and from a copy of what it saved itself", async () => {
  const folder = await smallModel(reference, "bert", { normalize: true });
  const copy = join(workspace, "copy");
  await cp(folder, copy, { recursive: true });
  const encoder = await SentenceEncoder.load(copy, { threads: 1 });
  await encoder.save(copy);
  const again = await SentenceEncoder.load(copy, { threads: 1 });
  expect((await again.encode(["twice"])).data).toEqual((await encoder.encode(["twice"])).data);
  await encoder.release();
  await again.release();
});
