import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FloatTensor, Tensor, TensorOf, Tensors } from "../protocol/tensor.ts";
import { Reference } from "./reference.ts";
import type { ReferenceLoss, ReferenceModel } from "./reference-types.ts";

const texts = ["a quick brown fox", "the dog sleeps in the sun", "red", "rivers run to the sea", "a bank of a river"];
const anchors = texts.slice(0, 4);
const positives = texts.slice(1, 5);
const loss: ReferenceLoss = { class: "MultipleNegativesRankingLoss" };
const cachedLoss: ReferenceLoss = { class: "CachedMultipleNegativesRankingLoss", options: { miniBatchSize: 3 } };

let root: string;
let reference: Reference;
let model: ReferenceModel;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "gradbank-reference-"));
  reference = await Reference.start({ threads: 1 });
  const folder = join(root, "bert");
  expect(await reference.makeModel({ architecture: "bert", folder, texts, dropout: 0.25 })).toEqual({
    folder,
    created: true,
  });
  expect((await reference.makeModel({ architecture: "bert", folder, texts, dropout: 0.25 })).created).toBe(false);
  model = await reference.loadModel(folder, { dtype: "float64" });
});

afterAll(async () => {
  await reference?.close();
  await rm(root, { recursive: true, force: true });
});

function float64(shape: number[], data: number[]): TensorOf<"float64"> {
  return { dtype: "float64", shape, data: Float64Array.from(data) };
}

function expectClose(actual: Tensor, expected: Tensor, tolerance: number): void {
  expect(actual.shape).toEqual(expected.shape);
  actual.data.forEach((value, index) => {
    expect(Math.abs(Number(value) - Number(expected.data[index]))).toBeLessThanOrEqual(tolerance);
  });
}

describe("Reference", () => {
  it("knows whom it talks to", async () => {
    expect(reference.information).toMatchObject({
      protocol: 2,
      threads: 1,
      device: "cpu",
      byteOrder: "little",
      largestFrame: 2 ** 32,
    });
    expect(reference.information.sentenceTransformers).toMatch(/^6\.2\./);
    expect(reference.information.torch).toMatch(/^2\.13\.0/);
    expect(await reference.setThreads(1)).toBe(1);
  });

  it("carries every data type there and back", async () => {
    const tensors: Tensors = {
      a: { dtype: "float32", shape: [2, 2], data: Float32Array.of(1.5, -0, Number.NaN, Number.POSITIVE_INFINITY) },
      b: { dtype: "float64", shape: [], data: Float64Array.of(Math.PI) },
      c: { dtype: "int32", shape: [2], data: Int32Array.of(-(2 ** 31), 2 ** 31 - 1) },
      d: { dtype: "int64", shape: [1, 2], data: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n) },
      e: { dtype: "uint8", shape: [3], data: Uint8Array.of(0, 7, 255) },
      f: { dtype: "bool", shape: [2], data: Uint8Array.of(1, 0) },
      g: { dtype: "float32", shape: [0, 4], data: new Float32Array() },
    };
    const value = { text: "naïve 😀", numbers: [1, 0.1, -3e300, 2 ** 40], nothing: null };
    expect(await reference.echo(value, tensors)).toEqual({ value, tensors });
  });

  it("tokenizes and encodes texts and tokens alike", async () => {
    const tokens = await reference.tokenize(model, texts);
    expect(new Set(tokens.map((row) => row.length)).size).toBeGreaterThan(2);
    expect((await reference.tokenize(model, texts, 4)).every((row) => row.length <= 4)).toBe(true);
    const byText = await reference.encode(model, texts, { batchSize: 2 });
    expect(byText.shape).toEqual([texts.length, model.dimension]);
    expectClose(await reference.encodeTokens(model, tokens, { batchSize: 3 }), byText, 1e-10);
    expect(new Set(byText.data).size).toBeGreaterThan(texts.length);
  });

  it("takes loss steps, with and without given dropout", async () => {
    const [first, second] = [await reference.tokenize(model, anchors), await reference.tokenize(model, positives)];
    const columns = [{ tokens: first }, { tokens: second }];
    const plain = await reference.lossStep({ model, loss, columns });
    const cached = await reference.lossStep({ model, loss: cachedLoss, columns, scale: 0.5 });
    expect(cached.loss).toBeCloseTo(plain.loss, 10);
    for (const column of [0, 1]) {
      expectClose(cached.embeddings[column]!, plain.embeddings[column]!, 1e-10);
      expectClose(cached.embeddingGradients[column]!, plain.embeddingGradients[column]!, 1e-10);
    }
    const names = Object.keys(plain.parameterGradients);
    expect(names).toContain("encoder.layer.1.output.LayerNorm.weight");
    expect(names.every((name) => model.parameters[name])).toBe(true);
    for (const [name, gradient] of Object.entries(cached.parameterGradients)) {
      const half = plain.parameterGradients[name]!;
      expectClose(
        gradient,
        float64(
          [...half.shape],
          Array.from(half.data, (value) => value / 2),
        ),
        1e-10,
      );
    }

    const sites = await reference.dropoutSites(model);
    expect(sites.map(({ name }) => name).slice(0, 4)).toEqual([
      "embeddings",
      "layer0.attention",
      "layer0.attention_output",
      "layer0.output",
    ]);
    const withMasks = [first, second].map((tokens) => {
      const length = Math.max(...tokens.map((row) => row.length));
      const mask = (kind: "attention" | "hidden"): TensorOf<"uint8"> => {
        const shape = kind === "attention" ? [tokens.length, 4, length, length] : [tokens.length, length, 32];
        const count = shape.reduce((product, size) => product * size);
        return { dtype: "uint8", shape, data: Uint8Array.from({ length: count }, (_, index) => +(index % 5 !== 2)) };
      };
      return { tokens, dropout: Object.fromEntries(sites.map(({ name, kind }) => [name, mask(kind)])) };
    });
    const dropped = await reference.lossStep({ model, loss, columns: withMasks, outputs: [] });
    const droppedCached = await reference.lossStep({ model, loss: cachedLoss, columns: withMasks, outputs: [] });
    expect(Math.abs(dropped.loss - plain.loss)).toBeGreaterThan(1e-3);
    expect(droppedCached.loss).toBeCloseTo(dropped.loss, 10);
    expect(dropped.embeddings).toEqual([]);
  });

  it("computes the loss of embeddings (dot product of two rows, by hand)", async () => {
    const options = { similarityFct: "dot_score", scale: 1 } as const;
    const columns: FloatTensor[] = [float64([2, 1], [1, 2]), float64([2, 1], [3, -1])];
    const result = await reference.embeddingLoss({ class: "MultipleNegativesRankingLoss", options }, columns);
    const expected = (Math.log(Math.exp(3) + Math.exp(-1)) - 3 + Math.log(Math.exp(6) + Math.exp(-2)) + 2) / 2;
    expect(result.loss).toBeCloseTo(expected, 12);
    expect(result.gradients.map(({ shape }) => shape)).toEqual([
      [2, 1],
      [2, 1],
    ]);
  });

  it("computes the loss of embeddings with a bank (dot product of numbers, by hand)", async () => {
    const columns: FloatTensor[] = [float64([1, 1], [2]), float64([1, 1], [3])];
    const cached = [float64([2, 1], [1, -1]), float64([2, 1], [0.5, 4])];
    const options = { similarityFct: "dot_score", scale: 1 } as const;
    const row = (anchor: number, positive: number, documents: number[]) =>
      Math.log(documents.reduce((sum, document) => sum + Math.exp(anchor * document), 0)) - anchor * positive;
    const documents = [3, 0.5, 4];
    const all = (row(2, 3, documents) + row(1, 0.5, documents) + row(-1, 4, documents)) / 3;
    const bank = { columns: cached };
    expect((await reference.contAccumLoss(columns, bank, options)).loss).toBeCloseTo(all, 12);
    const own = await reference.contAccumLoss(columns, bank, { ...options, cacheQueries: false });
    expect(own.loss).toBeCloseTo(row(2, 3, documents), 12);
    expect(own.gradients.map(({ shape }) => shape)).toEqual([
      [1, 1],
      [1, 1],
    ]);
    // The second cached document has the text of the batch's anchor.
    const texts = {
      batch: [[7], [8]],
      bank: [
        [1, 2],
        [3, 7],
      ],
    };
    const masked = await reference.contAccumLoss(columns, { ...bank, texts }, { ...options, cacheQueries: false });
    expect(masked.loss).toBeCloseTo(row(2, 3, [3, 0.5]), 12);
    expect((await reference.contAccumLoss(columns, undefined, options)).loss).toBe(0);
  });

  it("trains with the real trainer, from which weights can be set and read", async () => {
    const batches = [anchors, positives].map((rows) => rows.map((text, index) => [text, positives[index]!]));
    const trained = await reference.train({
      folder: join(root, "bert"),
      loss: cachedLoss,
      columns: ["anchor", "positive"],
      batches,
      arguments: { learningRate: 1e-3, gradientAccumulationSteps: 1, warmupSteps: 0 },
      everyStep: true,
    });
    expect(trained.steps).toBe(2);
    expect(trained.stepParameters).toHaveLength(2);
    expect(trained.stepParameters[1]).toEqual(trained.parameters);
    expect(trained.stepParameters[0]).not.toEqual(trained.parameters);
    expect(trained.batchLosses).toHaveLength(2);
    expect(trained.logHistory.filter((entry) => "grad_norm" in entry)).toHaveLength(2);
    const before = await reference.parameters(model);
    expect(Object.keys(trained.parameters)).toEqual(Object.keys(before));
    const name = "encoder.layer.0.output.dense.weight";
    const moved = Array.from(before[name]!.data, (value, index) =>
      Math.abs(value - trained.parameters[name]!.data[index]!),
    );
    const largest = Math.max(...moved);
    expect(largest).toBeGreaterThan(1e-4);
    expect(largest).toBeLessThan(1e-2);
    await reference.setParameters(model, { [name]: trained.parameters[name]! });
    expectClose((await reference.parameters(model))[name]!, trained.parameters[name]!, 0);
    await reference.setParameters(model, { [name]: before[name]! });
  });

  it("evaluates retrieval", async () => {
    const data = {
      queries: { q: texts[0]! },
      corpus: Object.fromEntries(texts.map((text, index) => [`d${index}`, text])),
      relevantDocs: { q: ["d0"] },
      name: "small",
    };
    const { metrics, csv, csvFile } = await reference.informationRetrieval(model, {
      ...data,
      options: { mrrAtK: [3] },
    });
    expect(metrics["small_cosine_mrr@3"]).toBe(1);
    expect(csv).toContain("cosine-MRR@3");
    expect(csvFile).toBe("Information-Retrieval_evaluation_small_results.csv");
  });

  it("runs evaluators, on a model and on given embeddings", async () => {
    const options = {
      anchors: ["red"],
      positives: ["red"],
      negatives: ["a bank of a river"],
      similarityFnNames: ["dot"],
    };
    const triplet = { class: "TripletEvaluator", options } as const;
    const ofModel = await reference.evaluate({ model, evaluator: triplet, progress: [{ epoch: 0.5, steps: 2 }] });
    const { dot_accuracy: accuracy } = ofModel.metrics[0]!;
    expect(ofModel.primaryMetric).toBe("dot_accuracy");
    expect(ofModel.files).toEqual({
      "triplet_evaluation_results.csv": `epoch,steps,accuracy_dot\r\n0.5,2,${accuracy!.toFixed(1)}\r\n`,
    });

    const ofEmbeddings = await reference.evaluate({
      texts: ["red", "a bank of a river"],
      embeddings: float64([2, 1], [1, -1]),
      evaluator: {
        class: "SequentialEvaluator",
        evaluators: [triplet, { ...triplet, options: { ...options, name: "wide", margin: { dot: 2 } } }],
        mainScore: 0,
      },
    });
    expect(ofEmbeddings.metrics).toEqual([{ dot_accuracy: 1, wide_dot_accuracy: 0, sequential_score: 1 }]);
  });

  it("evaluates operators in numpy", async () => {
    const x = float64([2, 2], [1, 2, 3, 4]);
    const sum = await reference.evaluateOperator("reduceSum", [x], { axes: [1], keepDimensions: true });
    expect(sum).toEqual(float64([2, 1], [3, 7]));
    const product = await reference.evaluateOperator("matmul", [x, x], { transposeB: true, alpha: 2 });
    expect(product).toEqual(float64([2, 2], [10, 22, 22, 50]));
    const indices: Tensor = { dtype: "int64", shape: [1], data: BigInt64Array.of(1n) };
    expect(await reference.evaluateOperator("gather", [x, indices])).toEqual(float64([1, 2], [3, 4]));
  });

  it("reports broken ONNX models", async () => {
    expect(await reference.checkOnnx(Uint8Array.of(1, 2, 3))).toContain("Error");
    await expect(reference.runOnnx(Uint8Array.of(1, 2, 3), {})).rejects.toMatchObject({ code: "remote-error" });
  });

  it("times training steps", async () => {
    const batches = [anchors.map((text, index) => [text, positives[index]!])];
    const folder = join(root, "bert");
    const prepared = await reference.benchmarkPrepare({ folder, loss: cachedLoss, batches, learningRate: 1e-3 });
    expect(prepared.threads).toBe(1);
    const { seconds, losses } = await reference.benchmarkRound(3);
    expect(seconds.every((value) => value > 0)).toBe(true);
    expect(losses).toHaveLength(3);
    const { resident, peak } = await reference.benchmarkMemory();
    expect(resident).toBeGreaterThan(50_000_000);
    expect(peak).toBeGreaterThanOrEqual(resident);
    const retrieval = { queries: { q: "red" }, corpus: { d: "red", e: "blue sea" }, relevantDocs: { q: ["d"] } };
    expect((await reference.benchmarkEvaluate(retrieval)).ndcgAt10).toBe(1);
  });

  it("has the real MiniLM, and lets models go", async () => {
    const loaded = await reference.loadModel(await reference.minilmFolder());
    expect(loaded).toMatchObject({ architecture: "bert", dimension: 384 });
    await reference.release(loaded);
    await expect(reference.encode(loaded, ["x"])).rejects.toMatchObject({
      code: "remote-error",
      facts: { type: "UnknownHandle" },
    });
  });
});
