import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { OptionError } from "../errors.ts";
import {
  EmbeddingSimilarityEvaluator,
  type EmbeddingSimilarityEvaluatorOptions,
} from "./embedding-similarity-evaluator.ts";
import type { TextEncoder } from "./evaluator.ts";

/** Reads an embedding from its text. */
const encoder: TextEncoder = {
  async encode(texts) {
    const rows = texts.map((text) => text.split(" ").map(Number));
    return { data: Float32Array.from(rows.flat()), rows: rows.length, dimension: rows[0]!.length };
  },
};

const root = mkdtempSync(join(tmpdir(), "gradbank-evaluation-"));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(root, "run-"));
});
afterAll(() => rmSync(root, { recursive: true }));

// Dot products 1, 2, 5; Manhattan distances 0, 0, 3.
const small: EmbeddingSimilarityEvaluatorOptions = {
  sentences1: ["1 0", "1 1", "1 1"],
  sentences2: ["1 0", "1 1", "1 4"],
  scores: [0, 1, 5],
};

test("metrics by name, with the greatest of several", async () => {
  const evaluator = new EmbeddingSimilarityEvaluator({
    ...small,
    name: "dev",
    similarityFnNames: ["dot", "manhattan"],
  });
  expect(evaluator.primaryMetric).toBe("dev_spearman_max");
  const metrics = await evaluator.evaluate(encoder);
  expect(Object.keys(metrics)).toEqual([
    "dev_pearson_dot",
    "dev_spearman_dot",
    "dev_pearson_manhattan",
    "dev_spearman_manhattan",
    "dev_pearson_max",
    "dev_spearman_max",
  ]);
  expect(metrics.dev_spearman_dot).toBeCloseTo(1, 12);
  expect(metrics.dev_spearman_manhattan).toBeCloseTo(-Math.sqrt(3) / 2, 12);
  expect(metrics.dev_pearson_max).toBe(metrics.dev_pearson_dot);
  expect(metrics.dev_spearman_max).toBe(metrics.dev_spearman_dot);
});

describe("the similarity function", () => {
  test("is the encoder's, and an evaluator follows every encoder", async () => {
    const evaluator = new EmbeddingSimilarityEvaluator(small);
    expect(evaluator.primaryMetric).toBe("spearman_cosine");
    for (const similarityFunction of ["manhattan", "dot", "euclidean", "cosine"] as const) {
      const metrics = await evaluator.evaluate({ ...encoder, similarityFunction });
      expect(Object.keys(metrics)).toEqual([`pearson_${similarityFunction}`, `spearman_${similarityFunction}`]);
      expect(evaluator.primaryMetric).toBe(`spearman_${similarityFunction}`);
    }
  });

  test("is the main one when only that is given, and decides among several", async () => {
    const alone = new EmbeddingSimilarityEvaluator({ ...small, mainSimilarity: "euclidean" });
    expect(Object.keys(await alone.evaluate(encoder))).toEqual(["pearson_euclidean", "spearman_euclidean"]);
    expect(alone.primaryMetric).toBe("spearman_euclidean");
    const several = new EmbeddingSimilarityEvaluator({
      ...small,
      mainSimilarity: "manhattan",
      similarityFnNames: ["dot", "manhattan"],
    });
    const metrics = await several.evaluate(encoder);
    expect(several.primaryMetric).toBe("spearman_manhattan");
    expect(metrics.spearman_max).toBeGreaterThan(metrics.spearman_manhattan!);
  });
});

test("a first number alone is compared with truncateDim 1", async () => {
  const options = { ...small, sentences1: ["0 9", "1 0", "2 7"], sentences2: ["0 5", "1 3", "2 8"] };
  const whole = await new EmbeddingSimilarityEvaluator({ ...options, mainSimilarity: "dot" }).evaluate(encoder);
  const first = await new EmbeddingSimilarityEvaluator({ ...options, mainSimilarity: "dot", truncateDim: 1 }).evaluate(
    encoder,
  );
  expect(whole.spearman_dot).toBeCloseTo(0.5, 12);
  expect(first.spearman_dot).toBeCloseTo(1, 12);
});

test("constant scores and constant similarities give NaN, which the file has as nan", async () => {
  const constant = new EmbeddingSimilarityEvaluator({ ...small, scores: [2, 2, 2] });
  expect(await constant.evaluate(encoder, { outputPath: folder })).toEqual({
    pearson_cosine: Number.NaN,
    spearman_cosine: Number.NaN,
  });
  expect(readFileSync(join(folder, "similarity_evaluation_results.csv"), "utf8")).toBe(
    "epoch,steps,cosine_pearson,cosine_spearman\r\n-1,-1,nan,nan\r\n",
  );
  const metrics = await new EmbeddingSimilarityEvaluator({
    ...small,
    sentences2: small.sentences1,
    similarityFnNames: ["euclidean", "dot"],
  }).evaluate(encoder);
  expect(metrics.pearson_euclidean).toBeNaN();
  // As Python's max: the first one stays.
  expect(metrics.pearson_max).toBeNaN();
});

test("rows are encoded chunk by chunk, without a change of the metrics", async () => {
  const rows = 40_000;
  const asked: [number, number | undefined][] = [];
  const counting: TextEncoder = {
    encode(texts, options) {
      asked.push([texts.length, options?.batchSize]);
      return encoder.encode(texts);
    },
  };
  const texts = (factor: number): string[] => Array.from({ length: rows }, (_, row) => `${(row * factor) % 1009}`);
  const [sentences1, sentences2] = [texts(7), texts(11)];
  const scores = sentences1.map((text, row) => Number(text) * Number(sentences2[row]));
  const metrics = await new EmbeddingSimilarityEvaluator({
    sentences1,
    sentences2,
    scores,
    mainSimilarity: "dot",
    batchSize: 8,
  }).evaluate(counting);
  expect(metrics.spearman_dot).toBeCloseTo(1, 12);
  expect(metrics.pearson_dot).toBeCloseTo(1, 12);
  // Both sides of a chunk.
  const counts = [16_384, 16_384, 16_384, 16_384, 7232, 7232];
  expect(asked).toEqual(counts.map((count) => [count, 8]));
});

describe("the results file", () => {
  const fileName = "similarity_evaluation_dev_results.csv";

  test("is appended to, with the line ends of Python's csv", async () => {
    const evaluator = new EmbeddingSimilarityEvaluator({ ...small, name: "dev", mainSimilarity: "dot" });
    const metrics = await evaluator.evaluate(encoder, { outputPath: join(folder, "new", "folder") });
    await evaluator.evaluate(encoder, { outputPath: join(folder, "new", "folder"), epoch: 2, steps: 11 });
    expect(readdirSync(join(folder, "new", "folder"))).toEqual([fileName]);
    expect(metrics.dev_spearman_dot).toBe(1);
    const values = `${metrics.dev_pearson_dot},1.0`;
    expect(readFileSync(join(folder, "new", "folder", fileName), "utf8")).toBe(
      `epoch,steps,dot_pearson,dot_spearman\r\n-1,-1,${values}\r\n2.0,11,${values}\r\n`,
    );
  });

  test("is not written when it is not wanted", async () => {
    await new EmbeddingSimilarityEvaluator({ ...small, writeCsv: false }).evaluate(encoder, { outputPath: folder });
    await new EmbeddingSimilarityEvaluator(small).evaluate(encoder, { epoch: 1 });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("with other columns is left as it is, before anything is encoded", async () => {
    writeFileSync(join(folder, fileName), "epoch,steps,cosine_pearson,cosine_spearman\r\n");
    const untouched: TextEncoder = { encode: () => Promise.reject(new Error("must not be asked")) };
    const evaluator = new EmbeddingSimilarityEvaluator({ ...small, name: "dev", mainSimilarity: "dot" });
    await expect(evaluator.evaluate(untouched, { outputPath: folder })).rejects.toMatchObject({
      code: "unexpected-column",
    });
  });
});

describe("what is refused", () => {
  const label = 'EmbeddingSimilarityEvaluator "dev"';
  test.each<[string, Partial<EmbeddingSimilarityEvaluatorOptions>]>([
    [
      `${label}: sentences1 holds 3, sentences2 holds 2, scores holds 3; expected equally many, one a row.`,
      { sentences2: ["1 0", "0 1"] },
    ],
    [
      `${label}: sentences1 holds 3, sentences2 holds 3, scores holds 1; expected equally many, one a row.`,
      { scores: [1] },
    ],
    [
      `${label}: sentences1 holds 0, sentences2 holds 0, scores holds 0; expected at least 2 rows.`,
      { sentences1: [], sentences2: [], scores: [] },
    ],
    [
      `${label}: sentences1 holds 1, sentences2 holds 1, scores holds 1; expected at least 2 rows.`,
      { sentences1: ["1"], sentences2: ["2"], scores: [3] },
    ],
    [`${label}: scores[1] is NaN; expected a finite number.`, { scores: [0, Number.NaN, 1] }],
    [`${label}: scores[2] is Infinity; expected a finite number.`, { scores: [0, 1, Number.POSITIVE_INFINITY] }],
    [
      `${label}: scores[0] is a value of type string; expected a finite number.`,
      { scores: ["0.5", 1, 2] as unknown as number[] },
    ],
    [`${label}: sentences2[1] is null; expected a string.`, { sentences2: ["1", null as unknown as string, "2"] }],
    [
      `${label}: sentences1[2] is a value of type undefined; expected a string.`,
      { sentences1: ["1", "2", undefined as unknown as string] },
    ],
    [`${label}: batchSize is 0; expected a whole number from 1.`, { batchSize: 0 }],
    [`${label}: truncateDim is 1.5; expected a whole number from 1.`, { truncateDim: 1.5 }],
    [
      `${label}: similarityFnNames is ["dot","dot"]; expected "cosine" or "dot" or "euclidean" or "manhattan", each at most once.`,
      { similarityFnNames: ["dot", "dot"] },
    ],
    [
      `${label}: similarityFnNames is []; expected "cosine" or "dot" or "euclidean" or "manhattan", each at most once.`,
      { similarityFnNames: [] },
    ],
    [
      `${label}: mainSimilarity is ["chebyshev"]; expected "cosine" or "dot" or "euclidean" or "manhattan", each at most once.`,
      { mainSimilarity: "chebyshev" as "dot" },
    ],
    [
      `${label}: mainSimilarity is "cosine", but similarityFnNames is ["dot","manhattan"]; expected one of them.`,
      { mainSimilarity: "cosine", similarityFnNames: ["dot", "manhattan"] },
    ],
  ])("%s", (message, options) => {
    const make = (): unknown => new EmbeddingSimilarityEvaluator({ ...small, name: "dev", ...options });
    expect(make).toThrow(OptionError);
    expect(make).toThrow(expect.objectContaining({ message }));
  });

  test.each<[string, TextEncoder["encode"]]>([
    [
      'the encoder gave NaN in the embedding of the sentence "1 1"; expected finite numbers.',
      async () => ({ data: Float32Array.of(1, Number.NaN, 1), rows: 3, dimension: 1 }),
    ],
    [
      "the encoder gave 2 embeddings for 3 texts; expected one a text.",
      async () => ({ data: Float32Array.of(1, 0), rows: 2, dimension: 1 }),
    ],
  ])("an encoder: %s", async (message, encode) => {
    const evaluation = new EmbeddingSimilarityEvaluator(small).evaluate({ encode });
    await expect(evaluation).rejects.toBeInstanceOf(OptionError);
    await expect(evaluation).rejects.toThrow(`EmbeddingSimilarityEvaluator: ${message}`);
  });
});
