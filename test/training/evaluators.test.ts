import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Reference, type ReferenceEvaluator } from "@gradbank/bridge";
import {
  EmbeddingSimilarityEvaluator,
  type Evaluator,
  SentenceEncoder,
  SequentialEvaluator,
  type SimilarityFunctionName,
  type TextEncoder,
  TripletEvaluator,
} from "@gradbank/core";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { sampleTexts, smallModel } from "../support/small-models.ts";

let reference: Reference;
let root: string;
let folder: string;
beforeAll(async () => {
  reference = await Reference.start({ threads: 1 });
  root = await mkdtemp(join(tmpdir(), "gradbank-evaluators-"));
});
beforeEach(async () => {
  folder = await mkdtemp(join(root, "eval-"));
});
afterAll(async () => {
  await reference?.close();
  await rm(root, { recursive: true });
});

const functions: readonly SimilarityFunctionName[] = ["cosine", "dot", "euclidean", "manhattan"];
const progress = [{}, { epoch: 0.5, steps: 3 }, { epoch: 1, steps: 6 }];

/** One evaluation for every entry of `progress`, and the files that they left. */
async function evaluateHere(evaluator: Evaluator, encoder: TextEncoder) {
  const metrics: Record<string, number>[] = [];
  for (const place of progress) metrics.push(await evaluator.evaluate(encoder, { outputPath: folder, ...place }));
  const names = (await readdir(folder)).sort();
  const files: Record<string, string> = {};
  for (const name of names) files[name] = await readFile(join(folder, name), "utf8");
  return { metrics, primaryMetric: evaluator.primaryMetric, files };
}
type Evaluation = Awaited<ReturnType<typeof evaluateHere>>;
type Expected = Awaited<ReturnType<Reference["evaluate"]>>;

function expectCloseMetrics(found: Evaluation, expected: Expected, tolerance: number): void {
  expect(found.primaryMetric).toBe(expected.primaryMetric);
  expect(found.metrics.length).toBe(expected.metrics.length);
  for (const [index, metrics] of found.metrics.entries()) {
    const theirs = expected.metrics[index]!;
    expect(Object.keys(metrics)).toEqual(Object.keys(theirs));
    for (const [name, value] of Object.entries(theirs)) {
      if (Number.isNaN(value)) expect(metrics[name], name).toBeNaN();
      else expect(Math.abs(metrics[name]! - value), name).toBeLessThanOrEqual(tolerance);
    }
  }
}

/** Same names, line ends, columns, epochs and steps; values close, and written as Python writes them. */
function expectSameFiles(found: Evaluation, expected: Expected, tolerance: number): void {
  expect(Object.keys(found.files)).toEqual(Object.keys(expected.files));
  for (const [name, text] of Object.entries(expected.files)) {
    const [ours, theirs] = [found.files[name]!.split("\r\n"), text.split("\r\n")];
    expect(ours.length).toBe(progress.length + 2);
    expect([ours[0], ours.at(-1)]).toEqual([theirs[0], theirs.at(-1)]);
    for (const [row, line] of theirs.slice(1, -1).entries()) {
      const [cells, expectedCells] = [ours[row + 1]!.split(","), line.split(",")];
      expect(cells.slice(0, 2)).toEqual(expectedCells.slice(0, 2));
      expect(cells.length).toBe(expectedCells.length);
      for (const [column, cell] of expectedCells.entries()) {
        expect(cells[column]).toMatch(/^(nan|-?\d+(\.\d+)?(e-\d\d)?)$/);
        if (cell === "nan") expect(cells[column]).toBe("nan");
        else expect(Math.abs(Number(cells[column]) - Number(cell))).toBeLessThanOrEqual(tolerance);
      }
    }
  }
}

const similarityColumns = {
  sentences1: sampleTexts.slice(0, 14),
  sentences2: sampleTexts.slice(2, 16),
  scores: Array.from({ length: 14 }, (_, row) => ((row * 5) % 8) / 2),
};
const tripletColumns = {
  anchors: sampleTexts.slice(0, 13),
  positives: sampleTexts.slice(1, 14),
  negatives: sampleTexts.slice(3, 16),
};
/** How much more similar positives are than negatives is far from all of these, for every similarity function. */
const margin = { dot: 0.05, euclidean: -0.1, manhattan: 0.15 };

describe.each(["bert", "mpnet"] as const)("a small random %s", (architecture) => {
  let encoder: SentenceEncoder;
  let model: string;
  beforeAll(async () => {
    const path = await smallModel(reference, architecture);
    encoder = await SentenceEncoder.load(path, { threads: 1 });
    model = (await reference.loadModel(path)).handle;
  });
  afterAll(() => encoder.release());

  it.each([
    {},
    { name: "sts-dev" },
    { name: "sts_dev", similarityFnNames: functions },
    { name: "sts", similarityFnNames: ["manhattan", "cosine"], mainSimilarity: "cosine", truncateDim: 8 },
    { mainSimilarity: "euclidean", truncateDim: 3, batchSize: 5 },
  ] as const)("EmbeddingSimilarityEvaluator %j", async (options) => {
    const theirs = await reference.evaluate({
      model,
      evaluator: { class: "EmbeddingSimilarityEvaluator", options: { ...similarityColumns, ...options } },
      progress,
    });
    const ours = await evaluateHere(new EmbeddingSimilarityEvaluator({ ...similarityColumns, ...options }), encoder);
    expectCloseMetrics(ours, theirs, 1e-6);
    expectSameFiles(ours, theirs, 1e-6);
    // Ranks do not depend on the last digits of embeddings.
    for (const [name, value] of Object.entries(theirs.metrics[0]!)) {
      if (name.includes("spearman")) expect(ours.metrics[0]![name]).toBe(value);
    }
    const primary = Math.abs(ours.metrics[0]![ours.primaryMetric]!);
    expect(primary > 0 && primary < 1).toBe(true);
  });

  it.each([
    {},
    { name: "nli-dev", margin: 0.01 },
    { name: "nli", similarityFnNames: functions, margin },
    { similarityFnNames: ["manhattan", "dot"], mainSimilarityFunction: "dot", truncateDim: 8 },
    { mainSimilarityFunction: "euclidean", truncateDim: 3, batchSize: 5 },
  ] as const)("TripletEvaluator %j", async (options) => {
    const theirs = await reference.evaluate({
      model,
      evaluator: { class: "TripletEvaluator", options: { ...tripletColumns, ...options } },
      progress,
    });
    const ours = await evaluateHere(new TripletEvaluator({ ...tripletColumns, ...options }), encoder);
    expect(ours).toEqual(theirs);
    expect(ours.metrics[0]![ours.primaryMetric]).toBeGreaterThan(0);
    expect(ours.metrics[0]![ours.primaryMetric]).toBeLessThan(1);
  });

  it("SequentialEvaluator", async () => {
    const parts: (readonly [ReferenceEvaluator, Evaluator])[] = [8, 4].map((truncateDim) => {
      const options = { ...tripletColumns, name: `nli-${truncateDim}`, truncateDim };
      return [{ class: "TripletEvaluator", options }, new TripletEvaluator(options)];
    });
    const options = { ...similarityColumns, name: "sts" };
    parts.push([{ class: "EmbeddingSimilarityEvaluator", options }, new EmbeddingSimilarityEvaluator(options)]);
    const evaluators = parts.map(([theirs]) => theirs);
    for (const mainScore of [undefined, 0]) {
      const theirs = await reference.evaluate({
        model,
        evaluator: { class: "SequentialEvaluator", evaluators, ...(mainScore === undefined ? {} : { mainScore }) },
        progress,
      });
      await rm(folder, { recursive: true });
      const sequence = new SequentialEvaluator(
        parts.map(([, ours]) => ours),
        mainScore === undefined ? {} : { mainScoreFunction: (scores) => scores[mainScore]! },
      );
      const ours = await evaluateHere(sequence, encoder);
      expectCloseMetrics(ours, theirs, 1e-6);
      expectSameFiles(ours, theirs, 1e-6);
    }
  });
});

describe("the same embeddings on both sides", () => {
  const texts = Array.from({ length: 60 }, (_, row) => `text ${row}`);
  const dimension = 5;

  /** Looks embeddings up by text. */
  const encoderOf = (embeddings: Float32Array): TextEncoder => ({
    async encode(asked) {
      const rows = asked.map((text) => texts.indexOf(text) * dimension);
      const data = Float32Array.from(rows.flatMap((start) => [...embeddings.subarray(start, start + dimension)]));
      return { data, rows: asked.length, dimension };
    },
  });
  const tensorOf = (embeddings: Float32Array) =>
    ({ dtype: "float32", shape: [texts.length, dimension], data: embeddings }) as const;

  // Small whole numbers: similarities are exact on both sides, and many are equal.
  const embeddings = fc
    .array(fc.integer({ min: -2, max: 2 }), {
      minLength: texts.length * dimension,
      maxLength: texts.length * dimension,
    })
    .map((numbers) => Float32Array.from(numbers));
  const exact = ["dot", "euclidean", "manhattan"] as const;

  it("gives Python's Spearman to the last digit of the file, also with many ties", async () => {
    await fc.assert(
      fc.asyncProperty(
        embeddings,
        fc.integer({ min: 2, max: 30 }),
        fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 30, maxLength: 30 }),
        async (data, rows, scores) => {
          await rm(folder, { recursive: true, force: true });
          const options = {
            sentences1: texts.slice(0, rows),
            sentences2: texts.slice(30, 30 + rows),
            scores: scores.slice(0, rows),
            similarityFnNames: exact,
          };
          const theirs = await reference.evaluate({
            texts,
            embeddings: tensorOf(data),
            evaluator: { class: "EmbeddingSimilarityEvaluator", options },
            progress,
          });
          const ours = await evaluateHere(new EmbeddingSimilarityEvaluator(options), encoderOf(data));
          expectCloseMetrics(ours, theirs, 1e-12);
          expectSameFiles(ours, theirs, 1e-12);
          const name = "similarity_evaluation_results.csv";
          const withoutPearson = (text: string) =>
            text.split("\r\n").map((line) => line.split(",").filter((_, column) => column < 2 || column % 2 === 1));
          expect(withoutPearson(ours.files[name]!)).toEqual(withoutPearson(theirs.files[name]!));
        },
      ),
      { numRuns: 60 },
    );
  });

  it("gives Python's triplet accuracies and its file to the last byte, also at a margin that is just met", async () => {
    await fc.assert(
      fc.asyncProperty(
        embeddings,
        fc.integer({ min: 1, max: 20 }),
        fc.constantFrom(-1, 0, 1, 2, 0.1),
        async (data, rows, givenMargin) => {
          await rm(folder, { recursive: true, force: true });
          const options = {
            anchors: texts.slice(0, rows),
            positives: texts.slice(20, 20 + rows),
            negatives: texts.slice(40, 40 + rows),
            similarityFnNames: exact,
            margin: givenMargin,
            name: "nli",
          };
          const theirs = await reference.evaluate({
            texts,
            embeddings: tensorOf(data),
            evaluator: { class: "TripletEvaluator", options },
            progress,
          });
          expect(await evaluateHere(new TripletEvaluator(options), encoderOf(data))).toEqual(theirs);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("gives NaN where Python does: constant scores, constant similarities", async () => {
    const data = Float32Array.from({ length: texts.length * dimension }, (_, index) => (index * 7) % 5);
    const varied = { sentences1: texts.slice(0, 9), sentences2: texts.slice(20, 29) };
    const scores = [3, 1, 4, 1, 5, 9, 2, 6, 5];
    const name = "similarity_evaluation_results.csv";
    for (const options of [
      { ...varied, scores: scores.map(() => 2), similarityFnNames: exact },
      // Every distance is 0, every dot product is not.
      { ...varied, sentences2: varied.sentences1, scores, similarityFnNames: ["euclidean", "dot"] as const },
      { ...varied, sentences2: varied.sentences1, scores, similarityFnNames: ["dot", "euclidean"] as const },
    ]) {
      await rm(folder, { recursive: true, force: true });
      const evaluator = { class: "EmbeddingSimilarityEvaluator", options } as const;
      const theirs = await reference.evaluate({ texts, embeddings: tensorOf(data), evaluator, progress });
      const ours = await evaluateHere(new EmbeddingSimilarityEvaluator(options), encoderOf(data));
      expectCloseMetrics(ours, theirs, 1e-12);
      expectSameFiles(ours, theirs, 1e-12);
      expect(ours.files[name]).toContain("nan");
    }
  });

  it("appends to a file that Python began", async () => {
    const options = {
      anchors: texts.slice(0, 3),
      positives: texts.slice(3, 6),
      negatives: texts.slice(6, 9),
      mainSimilarityFunction: "dot",
    } as const;
    const data = Float32Array.from({ length: texts.length * dimension }, (_, index) => (index * 7) % 11);
    const evaluator = { class: "TripletEvaluator", options } as const;
    const { files } = await reference.evaluate({ texts, embeddings: tensorOf(data), evaluator, progress });
    const name = "triplet_evaluation_results.csv";
    const [header, ...rows] = files[name]!.split(/(?<=\n)/);
    await writeFile(join(folder, name), header! + rows[0]!);
    const ours = new TripletEvaluator(options);
    for (const place of progress.slice(1)) {
      await ours.evaluate(encoderOf(data), { outputPath: folder, ...place });
    }
    expect(await readFile(join(folder, name), "utf8")).toBe(files[name]);
  });
});
