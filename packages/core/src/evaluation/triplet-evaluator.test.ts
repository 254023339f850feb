import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { OptionError } from "../errors.ts";
import type { TextEncoder } from "./evaluator.ts";
import { TripletEvaluator, type TripletEvaluatorOptions } from "./triplet-evaluator.ts";

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

// By dot product the positive leads by 1, 3 and 0; by distance by -1, 3 and 0.
const small: TripletEvaluatorOptions = {
  anchors: ["1", "1", "2"],
  positives: ["3", "2", "4"],
  negatives: ["2", "-1", "4"],
};

test.each([
  [0, 2 / 3],
  [0.5, 2 / 3],
  [1, 1 / 3],
  [2.9, 1 / 3],
  [3, 0],
  [-0.1, 1],
])("a margin of %d must be exceeded: %d", async (margin, accuracy) => {
  for (const given of [margin, { dot: margin, cosine: 9 }]) {
    const evaluator = new TripletEvaluator({ ...small, mainSimilarityFunction: "dot", margin: given });
    expect(await evaluator.evaluate(encoder)).toEqual({ dot_accuracy: Math.fround(accuracy) });
    expect(evaluator.primaryMetric).toBe("dot_accuracy");
  }
});

test("several similarity functions, each with its margin, and the greatest accuracy", async () => {
  const evaluator = new TripletEvaluator({
    ...small,
    name: "nli",
    similarityFnNames: ["dot", "manhattan", "euclidean"],
    margin: { manhattan: -0.5, euclidean: 1 },
  });
  expect(evaluator.primaryMetric).toBe("nli_max_accuracy");
  expect(await evaluator.evaluate(encoder)).toEqual({
    nli_dot_accuracy: Math.fround(2 / 3),
    nli_manhattan_accuracy: Math.fround(2 / 3),
    nli_euclidean_accuracy: 0,
    nli_max_accuracy: Math.fround(2 / 3),
  });
  const main = new TripletEvaluator({
    ...small,
    mainSimilarityFunction: "manhattan",
    similarityFnNames: ["dot", "manhattan"],
  });
  expect(main.primaryMetric).toBe("manhattan_accuracy");
});

test("the similarity function is the encoder's, and an evaluator follows every encoder", async () => {
  const evaluator = new TripletEvaluator(small);
  expect(evaluator.primaryMetric).toBe("cosine_accuracy");
  for (const similarityFunction of ["manhattan", "cosine", "dot", "euclidean"] as const) {
    const metrics = await evaluator.evaluate({ ...encoder, similarityFunction });
    expect(Object.keys(metrics)).toEqual([`${similarityFunction}_accuracy`]);
    expect(evaluator.primaryMetric).toBe(`${similarityFunction}_accuracy`);
  }
});

test("a first number alone is compared with truncateDim 1", async () => {
  const texts = { anchors: ["1 1"], positives: ["2 0"], negatives: ["1 5"] };
  const options = { ...texts, mainSimilarityFunction: "dot" } as const;
  expect(await new TripletEvaluator(options).evaluate(encoder)).toEqual({ dot_accuracy: 0 });
  expect(await new TripletEvaluator({ ...options, truncateDim: 1 }).evaluate(encoder)).toEqual({ dot_accuracy: 1 });
});

test("rows are encoded chunk by chunk", async () => {
  const asked: [number, number | undefined][] = [];
  const counting: TextEncoder = {
    encode(texts, options) {
      asked.push([texts.length, options?.batchSize]);
      return encoder.encode(texts);
    },
  };
  const rows = 20_000;
  const column = (text: (row: number) => number): string[] => Array.from({ length: rows }, (_, row) => `${text(row)}`);
  const metrics = await new TripletEvaluator({
    anchors: column(() => 1),
    positives: column(() => 5),
    negatives: column((row) => row % 10),
    mainSimilarityFunction: "dot",
  }).evaluate(counting);
  expect(metrics).toEqual({ dot_accuracy: 0.5 });
  expect(asked).toEqual([16_384, 16_384, 16_384, 3616, 3616, 3616].map((count) => [count, 16]));
});

test("the results file is appended to, in single precision and with the line ends of Python's csv", async () => {
  const evaluator = new TripletEvaluator({ ...small, name: "nli", similarityFnNames: ["dot", "manhattan"] });
  await evaluator.evaluate(encoder, { outputPath: folder });
  await evaluator.evaluate(encoder, { outputPath: folder, epoch: 0.25, steps: 5 });
  await new TripletEvaluator({ ...small, writeCsv: false }).evaluate(encoder, { outputPath: folder });
  expect(readdirSync(folder)).toEqual(["triplet_evaluation_nli_results.csv"]);
  expect(readFileSync(join(folder, "triplet_evaluation_nli_results.csv"), "utf8")).toBe(
    [
      "epoch,steps,accuracy_dot,accuracy_manhattan\r\n",
      "-1,-1,0.6666666865348816,0.3333333432674408\r\n",
      "0.25,5,0.6666666865348816,0.3333333432674408\r\n",
    ].join(""),
  );
});

describe("what is refused", () => {
  const known = '"cosine" or "dot" or "euclidean" or "manhattan", each at most once.';
  test.each<[string, Partial<TripletEvaluatorOptions>]>([
    ["anchors holds 3, positives holds 3, negatives holds 1; expected equally many, one a row.", { negatives: ["1"] }],
    [
      "anchors holds 0, positives holds 0, negatives holds 0; expected at least 1 row.",
      { anchors: [], positives: [], negatives: [] },
    ],
    ["positives[0] is 3; expected a string.", { positives: [3 as unknown as string, "1", "2"] }],
    ["margin is NaN; expected a finite number.", { margin: Number.NaN }],
    ["margin.dot is Infinity; expected a finite number.", { margin: { dot: Number.POSITIVE_INFINITY } }],
    [
      'margin has the key "l2"; expected keys among cosine, dot, euclidean, manhattan.',
      { margin: { l2: 1 } as unknown as Record<"dot", number> },
    ],
    [`similarityFnNames is ["l2"]; expected ${known}`, { similarityFnNames: ["l2" as "dot"] }],
    [`mainSimilarityFunction is ["l2"]; expected ${known}`, { mainSimilarityFunction: "l2" as "dot" }],
    [
      'mainSimilarityFunction is "cosine", but similarityFnNames is ["dot"]; expected one of them.',
      { mainSimilarityFunction: "cosine", similarityFnNames: ["dot"] },
    ],
    ["batchSize is -1; expected a whole number from 1.", { batchSize: -1 }],
    ["truncateDim is 0; expected a whole number from 1.", { truncateDim: 0 }],
  ])("%s", (message, options) => {
    const make = (): unknown => new TripletEvaluator({ ...small, ...options });
    expect(make).toThrow(OptionError);
    expect(make).toThrow(expect.objectContaining({ message: `TripletEvaluator: ${message}` }));
  });

  test("an encoder that gives NaN", async () => {
    const encode = async (texts: readonly string[]) => ({
      data: Float32Array.from(texts, (text) => (text === "4" ? Number.NaN : 1)),
      rows: texts.length,
      dimension: 1,
    });
    await expect(new TripletEvaluator(small).evaluate({ encode })).rejects.toThrow(
      'TripletEvaluator: the encoder gave NaN in the embedding of the positive "4"',
    );
  });
});
