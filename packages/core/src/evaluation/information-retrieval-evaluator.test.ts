import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import type { SimilarityFunction } from "../embeddings.ts";
import { DataError, OptionError } from "../errors.ts";
import type { TextEncoder } from "./evaluator.ts";
import {
  InformationRetrievalEvaluator,
  type InformationRetrievalEvaluatorOptions,
} from "./information-retrieval-evaluator.ts";

/** Reads an embedding from its text. */
const encoder: TextEncoder = {
  async encode(texts) {
    const rows = texts.map((text) => text.split(" ").map(Number));
    return { data: Float32Array.from(rows.flat()), rows: rows.length, dimension: rows[0]?.length ?? 0 };
  },
};

const root = mkdtempSync(join(tmpdir(), "gradbank-evaluation-"));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(root, "run-"));
});
afterAll(() => rmSync(root, { recursive: true }));

interface Case {
  name: string;
  options: Record<string, unknown>;
  queries: [string, string][];
  corpus: [string, string][];
  relevantDocs: [string, string[]][];
  metrics: Record<string, number>;
  primaryMetric: string;
  fileName: string;
  csv: string;
}

const cases: Case[] = readFileSync(new URL("./__fixtures__/evaluations.jsonl", import.meta.url), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line));

const camelCase = (name: string): string => name.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase());

const expectCloseNumbers = (found: number[], expected: number[]): void => {
  expect(found.length).toBe(expected.length);
  for (const [index, value] of expected.entries()) expect(Math.abs(found[index]! - value)).toBeLessThan(1e-12);
};

describe.each(cases)("the evaluation of sentence-transformers: $name $options", (fixture) => {
  const { name, queries, corpus, relevantDocs, metrics, primaryMetric, fileName, csv } = fixture;
  const options: InformationRetrievalEvaluatorOptions = {
    name,
    queries: new Map(queries),
    corpus: new Map(corpus),
    relevantDocs: new Map(relevantDocs.map(([id, documents]) => [id, new Set(documents)])),
    ...Object.fromEntries(Object.entries(fixture.options).map(([option, value]) => [camelCase(option), value])),
  };

  test("metrics and the primary one", async () => {
    const evaluator = new InformationRetrievalEvaluator(options);
    const found = await evaluator.evaluate(encoder);
    expect(Object.keys(found).sort()).toEqual(Object.keys(metrics).sort());
    expectCloseNumbers(
      Object.keys(metrics).map((metric) => found[metric]!),
      Object.values(metrics),
    );
    expect(evaluator.primaryMetric).toBe(primaryMetric);
    expect(found[evaluator.primaryMetric]).toBeGreaterThan(0);
  });

  test("the results file", async () => {
    const evaluator = new InformationRetrievalEvaluator(options);
    await evaluator.evaluate(encoder, { outputPath: join(folder, "new", "folder") });
    await evaluator.evaluate(encoder, { outputPath: join(folder, "new", "folder"), epoch: 0.5, steps: 11 });
    expect(readdirSync(join(folder, "new", "folder"))).toEqual([fileName]);
    const found = readFileSync(join(folder, "new", "folder", fileName), "utf8");
    const [foundLines, lines] = [found.split("\n"), csv.split("\n")];
    expect(foundLines.length).toBe(4);
    expect(foundLines[0]).toBe(lines[0]);
    for (const line of [1, 2]) {
      expectCloseNumbers(foundLines[line]!.split(",").map(Number), lines[line]!.split(",").map(Number));
    }
    // numpy sums means in another order, so that their last digit may differ; these columns are summed alike.
    const alike = (line: string): string[] =>
      line.split(",").filter((_, column) => /epoch|steps|Accuracy|MRR/.test(lines[0]!.split(",")[column]!));
    for (const line of [1, 2]) expect(alike(foundLines[line]!)).toEqual(alike(lines[line]!));
    expect(foundLines[3]).toBe("");
  });

  test("does not depend on the size of a chunk", async () => {
    const whole = await new InformationRetrievalEvaluator({ ...options, corpusChunkSize: 10_000 }).evaluate(encoder);
    for (const corpusChunkSize of [1, 3, 64]) {
      expect(await new InformationRetrievalEvaluator({ ...options, corpusChunkSize }).evaluate(encoder)).toEqual(whole);
    }
  });
});

/** Sorts all documents for every query and counts as the definitions say. */
function evaluateNaively(
  queries: Map<string, string>,
  corpus: Map<string, string>,
  relevantDocs: Map<string, Set<string>>,
  k: number,
): Record<string, number> {
  const numbers = (text: string): number[] => text.split(" ").map(Number);
  const sums = { accuracy: 0, precision: 0, recall: 0, ndcg: 0, mrr: 0, map: 0 };
  for (const [id, text] of queries) {
    const relevant = relevantDocs.get(id)!;
    const hits = [...corpus]
      .map(([document, other]): [string, number] => [
        document,
        numbers(text).reduce((sum, number, index) => sum + number * numbers(other)[index]!, 0),
      ])
      .sort(([a, x], [b, y]) => y - x || Buffer.compare(Buffer.from(a), Buffer.from(b)))
      .slice(0, k)
      .map(([document]) => relevant.has(document));
    const at = hits.flatMap((hit, index) => (hit ? [index + 1] : []));
    const ideal = Array.from({ length: Math.min(k, relevant.size) }, (_, index) => index + 1);
    const gain = (ranks: number[]): number => ranks.reduce((sum, rank) => sum + Math.LN2 / Math.log(rank + 1), 0);
    sums.accuracy += Math.min(1, at.length);
    sums.precision += at.length / k;
    sums.recall += at.length / relevant.size;
    sums.ndcg += gain(at) / gain(ideal);
    sums.mrr += at.length > 0 ? 1 / at[0]! : 0;
    sums.map += at.reduce((sum, rank, index) => sum + (index + 1) / rank, 0) / ideal.length;
  }
  return Object.fromEntries(Object.entries(sums).map(([metric, sum]) => [`dot_${metric}@${k}`, sum / queries.size]));
}

test("any search gives the metrics of sorting all documents", async () => {
  const text = fc
    .array(fc.integer({ min: -2, max: 2 }), { minLength: 2, maxLength: 2 })
    .map((vector) => vector.join(" "));
  const id = fc.oneof(fc.string({ unit: "binary", maxLength: 2 }), fc.nat(200).map(String));
  const corpus = fc.uniqueArray(fc.tuple(id, text), { minLength: 1, maxLength: 40, selector: ([key]) => key });
  const search = corpus.chain((documents) =>
    fc.record({
      documents: fc.constant(documents),
      queries: fc.array(fc.tuple(text, fc.uniqueArray(fc.nat(documents.length - 1), { minLength: 1, maxLength: 4 })), {
        minLength: 1,
        maxLength: 6,
      }),
      k: fc.integer({ min: 1, max: 50 }),
      corpusChunkSize: fc.integer({ min: 1, max: 50 }),
    }),
  );
  await fc.assert(
    fc.asyncProperty(search, async ({ documents, queries, k, corpusChunkSize }) => {
      const texts = new Map(queries.map(([query], index) => [`q${index}`, query]));
      const relevantDocs = new Map(
        queries.map(([, relevant], index) => [`q${index}`, new Set(relevant.map((row) => documents[row]![0]))]),
      );
      const expected = evaluateNaively(texts, new Map(documents), relevantDocs, k);
      const found = await new InformationRetrievalEvaluator({
        queries: texts,
        corpus: new Map(documents),
        relevantDocs,
        corpusChunkSize,
        scoreFunctions: ["dot"],
        accuracyAtK: [k],
        precisionRecallAtK: [k],
        ndcgAtK: [k],
        mrrAtK: [k],
        mapAtK: [k],
      }).evaluate(encoder);
      expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort());
      expectCloseNumbers(
        Object.keys(expected).map((metric) => found[metric]!),
        Object.values(expected),
      );
    }),
    { numRuns: 300 },
  );
});

const small: InformationRetrievalEvaluatorOptions = {
  queries: { q: "1 0", unused: "0 1" },
  corpus: { a: "1 0", b: "0 1" },
  relevantDocs: { q: ["a"] },
};

test("records do as well as maps, and the encoder is asked for one chunk at a time", async () => {
  const asked: [number, number | undefined][] = [];
  const counting: TextEncoder = {
    encode(texts, options) {
      asked.push([texts.length, options?.batchSize]);
      return encoder.encode(texts);
    },
  };
  const evaluator = new InformationRetrievalEvaluator({ ...small, corpusChunkSize: 1, batchSize: 7, name: "dev" });
  const metrics = await evaluator.evaluate(counting);
  expect(metrics["dev_cosine_accuracy@1"]).toBe(1);
  expect(metrics["dev_cosine_precision@10"]).toBe(0.1);
  expect(asked).toEqual([
    [1, 7],
    [1, 7],
    [1, 7],
  ]);
});

test("the encoder's own similarity is the default, and an evaluator follows every encoder", async () => {
  const evaluator = new InformationRetrievalEvaluator(small);
  expect(evaluator.primaryMetric).toBe("cosine_ndcg@10");
  for (const similarityFunction of ["dot", "cosine"] satisfies SimilarityFunction[]) {
    const metrics = await evaluator.evaluate({ ...encoder, similarityFunction });
    expect(evaluator.primaryMetric).toBe(`${similarityFunction}_ndcg@10`);
    expect(metrics[evaluator.primaryMetric]).toBe(1);
  }
});

describe("the results file", () => {
  const fileName = "Information-Retrieval_evaluation_results.csv";

  test("is not written when it is not wanted", async () => {
    await new InformationRetrievalEvaluator({ ...small, writeCsv: false }).evaluate(encoder, { outputPath: folder });
    await new InformationRetrievalEvaluator(small).evaluate(encoder, { epoch: 1 });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("keeps a line apart from one that was cut off", async () => {
    const evaluator = new InformationRetrievalEvaluator({ ...small, accuracyAtK: [1] });
    await evaluator.evaluate(encoder, { outputPath: folder, epoch: 1, steps: 2 });
    const path = join(folder, fileName);
    const whole = readFileSync(path, "utf8");
    writeFileSync(path, whole.slice(0, -5));
    await evaluator.evaluate(encoder, { outputPath: folder, epoch: 1, steps: 2 });
    expect(readFileSync(path, "utf8")).toBe(`${whole.slice(0, -5)}\n${whole.split("\n")[1]}\n`);
    expect(whole.split("\n")[1]).toMatch(/^1\.0,2,1\.0,/);
  });

  test("with other columns is left as it is, before anything is encoded", async () => {
    const path = join(folder, fileName);
    writeFileSync(path, "epoch,steps\n");
    const untouched: TextEncoder = { encode: () => Promise.reject(new Error("must not be asked")) };
    const evaluation = new InformationRetrievalEvaluator(small).evaluate(untouched, { outputPath: folder });
    await expect(evaluation).rejects.toMatchObject({ code: "unexpected-column", facts: { path } });
    expect(readFileSync(path, "utf8")).toBe("epoch,steps\n");
  });

  test("in a folder that cannot be", async () => {
    writeFileSync(join(folder, "file"), "");
    const evaluation = new InformationRetrievalEvaluator(small).evaluate(encoder, { outputPath: join(folder, "file") });
    await expect(evaluation).rejects.toBeInstanceOf(DataError);
    await expect(evaluation).rejects.toMatchObject({ code: "unwritable-file" });
  });
});

describe("what is refused", () => {
  test.each<[string, Partial<InformationRetrievalEvaluatorOptions>]>([
    ["corpus is empty", { corpus: {} }],
    ["none of the 2 queries has a relevant document", { relevantDocs: { other: ["a"], q: [] } }],
    ['relevantDocs["q"] is the string "a"', { relevantDocs: { q: "a" } }],
    ['corpus["a"] is number', { corpus: { a: 1 as unknown as string } }],
    ["ndcgAtK is []", { ndcgAtK: [] }],
    ["mapAtK is [0]", { mapAtK: [0] }],
    ["corpusChunkSize is 0", { corpusChunkSize: 0 }],
    ["batchSize is 1.5", { batchSize: 1.5 }],
    ["scoreFunctions is []", { scoreFunctions: [] }],
    ["scoreFunctions is", { scoreFunctions: ["euclidean" as "dot"] }],
    ["scoreFunctions is", { scoreFunctions: ["dot", "dot"] }],
    ["mainScoreFunction is", { scoreFunctions: ["dot"], mainScoreFunction: "cosine" }],
  ])("%s", (message, options) => {
    const make = (): unknown => new InformationRetrievalEvaluator({ ...small, ...options });
    expect(make).toThrow(OptionError);
    expect(make).toThrow(message);
  });

  test.each<[string, TextEncoder["encode"]]>([
    ["gave NaN in the embedding of the query", async () => ({ data: Float32Array.of(1, NaN), rows: 1, dimension: 2 })],
    ["gave 2 embeddings for 1 texts", async () => ({ data: Float32Array.of(1, 0), rows: 2, dimension: 1 })],
    ["hold 3 numbers for 1 rows of 2", async () => ({ data: Float32Array.of(1, 0, 0), rows: 1, dimension: 2 })],
  ])("an encoder that %s", async (message, encode) => {
    const evaluation = new InformationRetrievalEvaluator(small).evaluate({ encode });
    await expect(evaluation).rejects.toBeInstanceOf(OptionError);
    await expect(evaluation).rejects.toThrow(message);
  });

  test("truncateDim beyond the dimension", async () => {
    const evaluation = new InformationRetrievalEvaluator({ ...small, truncateDim: 3 }).evaluate(encoder);
    await expect(evaluation).rejects.toThrow("dimension is 3; expected a whole number from 1 to 2");
  });
});

test("100 queries among 20,000 documents take seconds, and timers get their turn", async () => {
  const make = (rows: number, seed: number) => ({
    data: Float32Array.from({ length: rows * 384 }, (_, index) => (Math.sin(index * 12.9898 + seed) * 43758.5453) % 1),
    rows,
    dimension: 384,
  });
  const [queries, documents] = [make(100, 1), make(20_000, 2)];
  const ids = (count: number, prefix: string) =>
    new Map(Array.from({ length: count }, (_, row) => [`${prefix}${row}`, ""]));
  const evaluator = new InformationRetrievalEvaluator({
    queries: ids(100, "q"),
    corpus: ids(20_000, "d"),
    relevantDocs: new Map(Array.from({ length: 100 }, (_, row) => [`q${row}`, [`d${row}`]])),
  });
  let turns = 0;
  const timer = setInterval(() => turns++, 10);
  const start = performance.now();
  await evaluator.evaluate({ encode: async (texts) => (texts.length === 100 ? queries : documents) });
  clearInterval(timer);
  expect(performance.now() - start).toBeLessThan(10_000);
  expect(turns).toBeGreaterThan(1);
});

test("an encoder that compares by a distance is refused unless score functions are given", async () => {
  const distance: TextEncoder = { ...encoder, similarityFunction: "euclidean" };
  await expect(new InformationRetrievalEvaluator(small).evaluate(distance)).rejects.toThrow(
    'InformationRetrievalEvaluator: the encoder compares by "euclidean"; expected cosine or dot. Set scoreFunctions to one of them.',
  );
  const metrics = await new InformationRetrievalEvaluator({ ...small, scoreFunctions: ["dot"] }).evaluate(distance);
  expect(metrics["dot_accuracy@1"]).toBe(1);
});
