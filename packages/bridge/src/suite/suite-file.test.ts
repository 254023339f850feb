import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { ConfigurationError } from "@gradbank/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import type { ResolvedCase } from "./resolved-case.ts";
import { readSuite, shippedSuites } from "./suite-file.ts";
import { suiteJsonSchema, suiteSchema } from "./suite-schema.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-suite-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(cases: string, overrides: string[] = [], head = "") {
  const file = join(folder, "suite.yaml");
  await writeFile(file, `name: test\n${head}cases:\n${cases}`);
  return readSuite(file, overrides);
}

async function refusal(cases: string, overrides: string[] = [], head = ""): Promise<string[]> {
  const error = (await read(cases, overrides, head).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )) as ConfigurationError | undefined;
  expect(error).toMatchObject({ name: "ConfigurationError" });
  return error!.problems.map(({ place, message }) => `${place.replace(/^.*suite\.yaml:/, "")} ${message}`);
}

describe("a case", () => {
  it("has every value settled", async () => {
    const { name, cases } = await read("  - name: one\n");
    expect(name).toBe("test");
    expect(cases).toEqual([
      {
        name: "one",
        description: "",
        model: {
          kind: "random",
          architecture: "bert",
          layers: 2,
          hiddenSize: 32,
          heads: 4,
          intermediateSize: 64,
          vocabSize: 400,
          maxPositionEmbeddings: 64,
          pooling: "mean",
          normalize: false,
          dropout: 0.1,
          seed: 0,
        },
        maxSequenceLength: null,
        data: { kind: "texts", words: 120, rows: null, seed: 0, lengths: [1, 12], repeats: 0.25 },
        columns: 2,
        batchSize: 6,
        lastBatch: null,
        gradientAccumulationSteps: 1,
        steps: 3,
        seed: 42,
        loss: {
          class: "CachedMultipleNegativesRankingLoss",
          scale: 20,
          similarityFunction: "cos_sim",
          directions: ["query_to_doc"],
          partitionMode: "joint",
          hardnessMode: null,
          hardnessStrength: 0,
          miniBatchSize: 32,
          miniBatchNumTokens: null,
          bank: null,
        },
        reference: {
          class: "CachedMultipleNegativesRankingLoss",
          options: {
            scale: 20,
            similarity_fct: "cos_sim",
            directions: ["query_to_doc"],
            partition_mode: "joint",
            hardness_mode: null,
            hardness_strength: 0,
            mini_batch_size: 32,
            mini_batch_num_tokens: null,
          },
        },
        dropout: false,
        mode: "teacher-forced",
        arguments: {
          learningRate: 2e-5,
          warmupSteps: 0,
          weightDecay: 0.01,
          adamBeta1: 0.9,
          adamBeta2: 0.999,
          adamEpsilon: 1e-8,
          maxGradNorm: 1,
        },
        noise: true,
        parametersEvery: 1,
        limits: {},
        wholeTensors: "small",
      } satisfies ResolvedCase,
    ]);
  });

  it("takes what it does not say from the defaults, field by field", async () => {
    const head = "defaults: { steps: 5, loss: { scale: 7, bank: { capacity: 9 } }, data: { texts: { words: 30 } } }\n";
    const cases = `  - { name: a }
  - { name: b, steps: 1, loss: { bank: { warmupSteps: 2 } } }
  - { name: c, loss: { bank: null }, data: { wordNet: true } }
`;
    const [a, b, c] = (await read(cases, [], head)).cases;
    expect(a).toMatchObject({ steps: 5, loss: { scale: 7, bank: { capacity: 9, warmupSteps: 0 } } });
    expect(a!.data).toMatchObject({ words: 30, lengths: [1, 12] });
    expect(b).toMatchObject({ steps: 1, loss: { scale: 7, bank: { capacity: 9, warmupSteps: 2 } } });
    expect(c).toMatchObject({ loss: { scale: 7, bank: null }, data: { kind: "wordNet" } });
  });

  it("with a model, data or reference of another kind has nothing of the defaults' one", async () => {
    const head =
      "defaults: { model: { layers: 5, random: mpnet }, reference: { class: 'a.py:A', options: { x: 1 } } }\n";
    const cases = `  - { name: a, model: { folder: m }, reference: { class: 'a.py:B' } }
  - { name: b, model: { random: bert }, reference: { options: { y: 2 } } }
  - { name: c, model: { hub: some/model }, reference: { class: ContAccum, options: { capacity: 3, pushAt: forward } } }
`;
    const [a, b, c] = (await read(cases, [], head)).cases;
    expect(a!.model).toEqual({ kind: "folder", folder: join(folder, "m") });
    expect(a!.reference).toEqual({ file: join(folder, "a.py"), class: "B", options: {} });
    expect(b!.model).toMatchObject({ architecture: "bert", layers: 5 });
    expect(b!.reference).toEqual({ file: join(folder, "a.py"), class: "A", options: { x: 1, y: 2 } });
    expect(c!.model).toEqual({ kind: "hub", name: "some/model" });
    expect(c!.reference).toEqual({ class: "ContAccum", options: { capacity: 3, push_at: "forward" } });
  });

  it("gets the reference that fits its loss, with options on top", async () => {
    const cases = `  - { name: direct, loss: { class: MultipleNegativesRankingLoss, temperature: 0.1 }, reference: { options: { scale: 9 } } }
  - { name: bank, loss: { bank: { capacity: 5, pushAt: optimizerStep } } }
  - { name: pr, loss: { miniBatchSize: 3, bank: { capacity: 2, compatibility: pr-3612, resetAtOptimizerStep: true } } }
`;
    const [direct, bank, pr] = (await read(cases)).cases;
    expect(direct!.loss.scale).toBe(10);
    expect(direct!.reference).toMatchObject({ class: "MultipleNegativesRankingLoss", options: { scale: 9 } });
    expect(bank!.reference).toMatchObject({
      class: "ContAccum",
      options: { capacity: 5, push_at: "optimizerStep", mask_duplicates: true, cache_queries: true, scale: 20 },
    });
    expect(pr!.reference).toEqual({
      class: "PullRequest3612",
      options: {
        scale: 20,
        similarity_fct: "cos_sim",
        mini_batch_size: 3,
        use_cont_accum: true,
        cache_size: 2,
        prev_cache: false,
      },
    });
  });

  it("finds paths from the suite's folder, those of overrides from the working directory", async () => {
    const cases = "  - { name: a, model: { folder: m }, data: { file: d/x.csv, columns: [q, p] } }\n";
    const [a] = (await read(cases)).cases;
    expect(a!.data).toEqual({ kind: "file", file: join(folder, "d", "x.csv"), columns: ["q", "p"] });
    const [b] = (await read(cases, ["model.folder=other", "reference.class=my.py:Mine"])).cases;
    expect(b!.model).toEqual({ kind: "folder", folder: resolve("other") });
    expect(b!.data).toMatchObject({ file: join(folder, "d", "x.csv") });
    expect(b!.reference).toEqual({ file: resolve("my.py"), class: "Mine", options: {} });
  });
});

describe("a matrix", () => {
  const cases = `  - name: pairs
    loss: { bank: { capacity: 4 } }
    matrix:
      loss.directions: [[query_to_doc], [query_to_doc, doc_to_query]]
      loss.bank: [null, { capacity: 8 }]
      dropout: [true]
`;

  it("repeats the case for every combination, and names it", async () => {
    const resolved = (await read(cases)).cases;
    expect(resolved.map(({ name }) => name)).toEqual([
      "pairs (directions=query_to_doc, bank=none, dropout=true)",
      "pairs (directions=query_to_doc, bank={capacity:8}, dropout=true)",
      "pairs (directions=query_to_doc+doc_to_query, bank=none, dropout=true)",
      "pairs (directions=query_to_doc+doc_to_query, bank={capacity:8}, dropout=true)",
    ]);
    expect(resolved.map(({ loss }) => [loss.directions.length, loss.bank?.capacity])).toEqual([
      [1, undefined],
      [1, 8],
      [2, undefined],
      [2, 8],
    ]);
    expect(resolved.every(({ dropout }) => dropout)).toBe(true);
  });

  it("names fields in full where their last parts are alike", async () => {
    const { cases: resolved } = await read(
      "  - { name: x, matrix: { model.seed: [1], data.texts.seed: [2], seed: [3] } }\n",
    );
    expect(resolved[0]!.name).toBe("x (model.seed=1, data.texts.seed=2, seed=3)");
  });

  it("gives way to an override of its field", async () => {
    const resolved = (await read(cases, ["loss.directions=[query_to_doc]", "loss.bank.capacity=6", "steps=1"])).cases;
    expect(resolved.map(({ name }) => name)).toEqual([
      "pairs (bank=none, dropout=true)",
      "pairs (bank={capacity:8}, dropout=true)",
    ]);
    expect(resolved.map(({ loss, steps }) => [loss.bank?.capacity, steps])).toEqual([
      [6, 1],
      [6, 1],
    ]);
  });
});

describe("what is refused", () => {
  it("is told all at once, once each, with the line of defaults, case, matrix or override", async () => {
    const head = "defaults: { stps: 3, loss: { scale: 0 } }\n";
    expect(await refusal("  - { name: a, steps: x }\n  - { name: b }\n", [], head)).toEqual([
      "2:13 defaults.stps (given: 3) is not known. Did you mean steps? Known here: model, maxSequenceLength, data, columns, batchSize, lastBatch, gradientAccumulationSteps, steps, seed, loss, reference, dropout, mode, arguments, parametersEvery, noise, limits, wholeTensors.",
      "2:37 defaults.loss.scale is 0; expected a number of more than 0. (Factor of the similarities. Number above 0. Default: 20.)",
      '4:23 cases.0.steps is "x"; expected a whole number. (Updates to compare. Whole number from 1. Default: 3.)',
    ]);
    expect(
      await refusal("  - name: a\n    matrix:\n      loss.scale: [1, -1]\n      loss.scal: [2]\n", ["batchSize=1"]),
    ).toEqual([
      "override batchSize=1 batchSize is 1; expected a whole number of at least 2. (Rows of a batch. Whole number from 2. Default: 6.)",
      "5:23 loss.scale is -1; expected a number of more than 0. (Factor of the similarities. Number above 0. Default: 20.)",
      expect.stringMatching(/^6:19 loss\.scal \(given: 2\) is not known\. Did you mean scale\?/),
    ]);
  });

  // The place that is named is that of the second text, inside the first.
  it.each([
    ["model: { random: bert, folder: x }", "x }", "model names random and folder; keep one of them."],
    [
      "model: { folder: x, layers: 3 }",
      "3 }",
      "layers belongs to a random model, but this one is folder. Leave it out.",
    ],
    ["model: { hiddenSize: 30 }", "30", "hiddenSize is 30, which is no multiple of the 4 heads."],
    [
      "model: { dropout: 0 }, dropout: true",
      "true",
      "dropout is true, but the model's dropout rate is 0. Raise the rate.",
    ],
    [
      "model: { random: mpnet }, maxSequenceLength: 63",
      "63",
      "maxSequenceLength is 63, but the model has 62 positions. Lower it, or raise model.maxPositionEmbeddings.",
    ],
    ["data: { wordNet: true, file: x.csv }", "true", "data names file and wordNet; keep one of them."],
    ["data: { columns: [a, b] }", "[a", "columns names columns of a file, but there is no file. Leave it out."],
    [
      "data: { file: x.csv, columns: [a, b] }, columns: 3",
      "[a",
      "data.columns names 2 columns of the file, but columns is 3. Make them equal.",
    ],
    [
      "data: { wordNet: true }, columns: 3",
      "3",
      "columns is 3, but WordNet has pairs. Leave it out, or take other data.",
    ],
    ["data: { texts: { lengths: [4, 2] } }", "[4", "lengths is [4, 2]: the first may not exceed the second."],
    ["data: { texts: { rows: 5 } }", "5", "rows is 5, but a batch has 6. Raise it."],
    ["lastBatch: 6", "6", "lastBatch is 6; it must be less than batchSize, 6."],
    ["loss: { scale: 2, temperature: 1 }", "1", "temperature is the reciprocal of scale; give one of the two."],
    [
      "loss: { hardnessMode: all_negatives }",
      "all_",
      "hardnessMode is all_negatives, but hardnessStrength is 0. Set it above 0.",
    ],
    [
      "loss: { hardnessMode: hard_negatives, hardnessStrength: 1 }",
      "hard_",
      "hardnessMode is hard_negatives, but pairs have no column of negatives. Set columns to 3 or more.",
    ],
    [
      "loss: { partitionMode: per_direction, directions: [query_to_doc, query_to_query] }",
      "per_",
      'Loss option partitionMode is "per_direction": with "query_to_query" it must be "joint", because that direction holds no positive pair.',
    ],
    [
      "loss: { directions: [doc_to_query] }",
      "[doc",
      'Loss option directions is ["doc_to_query"]: "query_to_doc" is required, because it holds the positive pair.',
    ],
    [
      "loss: { bank: {} }",
      "{}",
      "EmbeddingBank option capacity is undefined; it must be a whole number of at least 1.",
    ],
    [
      "loss: { bank: { capacity: 3, compatibility: pr-3612, pushAt: optimizerStep } }",
      "optimizerStep",
      'EmbeddingBank option pushAt is "optimizerStep", but compatibility "pr-3612" means "forward". Leave one of the two out.',
    ],
    [
      "loss: { bank: { capacity: 3, compatibility: pr-3612 }, directions: [query_to_doc, doc_to_doc] }",
      "[query",
      "pull request 3612 knows nothing of directions. Leave it out, or bank.compatibility.",
    ],
  ])("%s", async (fields, marker, message) => {
    const line = `  - { name: a, ${fields} }`;
    const column = line.indexOf(marker, line.indexOf(fields)) + 1;
    expect(await refusal(`${line}\n`)).toEqual([`3:${column} ${message} (Case "a".)`]);
  });

  it("a reference that is no class", async () => {
    expect((await refusal("  - { name: a, reference: { class: Wrong } }\n"))[0]).toMatch(
      /^3:36 cases\.0\.reference\.class is "Wrong"; expected \(Cached\)MultipleNegativesRankingLoss, PullRequest3612/,
    );
  });

  it("a name that two cases have", async () => {
    expect(await refusal("  - { name: a }\n  - { name: b }\n  - { name: a }\n")).toEqual([
      '5:13 a case before this one is called "a", too. Give each its own name.',
    ]);
  });

  it("a matrix over a name with an empty part, and a suite without cases", async () => {
    expect((await refusal("  - { name: a, matrix: { 'loss..scale': [1] } }\n"))[0]).toMatch(/is no name of a field/);
    expect((await refusal("  []\n"))[0]).toMatch(/^3:3 cases is \[\]; expected at least 1 entries/);
  });
});

describe("the suites that ship", () => {
  it("are read, have descriptions, and no two cases of one name", async () => {
    const suites = await shippedSuites();
    expect(suites.map(({ name }) => name)).toEqual(["architectures", "bank", "losses", "minilm", "quick"]);
    for (const { name, path } of suites) {
      const suite = await readSuite(path);
      expect(suite).toMatchObject({ name, file: path });
      expect(suite.description).not.toBe("");
      expect(new Set(suite.cases.map((one) => one.name)).size).toBe(suite.cases.length);
    }
  });

  it("cover every option", async () => {
    const cases = (await Promise.all((await shippedSuites()).map(({ path }) => readSuite(path)))).flatMap(
      (suite) => suite.cases,
    );
    const seen = (value: (one: ResolvedCase) => unknown) => new Set(cases.map((one) => JSON.stringify(value(one))));
    const expectSeen = (value: (one: ResolvedCase) => unknown, expected: readonly unknown[]) => {
      for (const one of expected) expect([...seen(value)]).toContain(JSON.stringify(one));
    };
    const classes = ["MultipleNegativesRankingLoss", "CachedMultipleNegativesRankingLoss"];
    const both = (value: (one: ResolvedCase) => unknown, expected: readonly unknown[]) =>
      expectSeen(
        (one) => [one.loss.class, value(one)],
        classes.flatMap((name) => expected.map((one) => [name, one])),
      );
    const others = ["query_to_query", "doc_to_query", "doc_to_doc"];
    const sets = Array.from({ length: 8 }, (_, bits) => [
      "query_to_doc",
      ...others.filter((_, index) => (bits >> index) & 1),
    ]);
    both(
      (one) => [one.loss.partitionMode, one.loss.directions],
      sets.map((set) => ["joint", set]),
    );
    both(
      (one) => [one.loss.partitionMode, one.loss.directions],
      [["query_to_doc"], ["query_to_doc", "doc_to_query"]].map((set) => ["per_direction", set]),
    );
    both((one) => one.columns, [2, 3, 5]);
    both((one) => one.loss.hardnessMode, ["in_batch_negatives", "hard_negatives", "all_negatives"]);
    both((one) => one.loss.similarityFunction, ["cos_sim", "dot_score"]);
    both(
      (one) => [one.gradientAccumulationSteps, one.dropout],
      [
        [1, true],
        [1, false],
        [8, true],
        [8, false],
      ],
    );
    both((one) => one.lastBatch !== null, [true, false]);
    both((one) => one.mode, ["teacher-forced", "free-running"]);
    both((one) => one.loss.bank !== null, [true, false]);
    both((one) => one.loss.bank?.resetAtOptimizerStep, [true, false]);
    both((one) => one.loss.bank?.pushAt, ["forward", "optimizerStep"]);
    both(
      (one) => [one.loss.bank?.cacheQueries, one.loss.bank?.rowWeighting],
      [
        [true, "all"],
        [true, "current"],
        [false, "all"],
        [false, "current"],
      ],
    );
    both((one) => one.loss.bank?.warmupSteps, [0, 2]);
    both((one) => one.loss.bank?.maskDuplicates, [true, false]);
    expectSeen(
      (one) => [one.reference.class, one.gradientAccumulationSteps, one.loss.bank?.resetAtOptimizerStep],
      [1, 4, 8].flatMap((steps) => [true, false].map((reset) => ["PullRequest3612", steps, reset])),
    );
    expectSeen(
      (one) => one.model.kind === "random" && one.model.architecture,
      ["bert", "roberta", "xlm-roberta", "mpnet", "distilbert"],
    );
    expectSeen(
      (one) => one.model.kind === "random" && [one.model.pooling, one.model.normalize],
      ["mean", "cls", "max", "weightedmean", "lasttoken"].flatMap((pooling) =>
        [true, false].map((normalize) => [pooling, normalize]),
      ),
    );
    expectSeen((one) => [one.model.kind, one.mode, one.steps], [["pretrained", "free-running", 200]]);
    expect(cases.some(({ loss }) => loss.miniBatchNumTokens !== null)).toBe(true);
    expect(
      cases.some(
        ({ loss, batchSize }) =>
          loss.miniBatchSize > 1 && loss.miniBatchSize < batchSize && batchSize % loss.miniBatchSize !== 0,
      ),
    ).toBe(true);
  });

  it("fit the JSON schema beside them, which is that of the code", async () => {
    const suites = await shippedSuites();
    const path = join(dirname(suites[0]!.path), "suite.schema.json");
    const schema = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
    // To renew the file: write JSON.stringify(suiteJsonSchema(), null, 2) to it, and format it.
    expect(schema).toEqual(JSON.parse(JSON.stringify(suiteJsonSchema())));
    const validator = z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]);
    for (const { path } of suites) {
      const content = parse(await readFile(path, "utf8")) as { cases: Record<string, unknown>[] };
      expect(validator.safeParse(content).error).toBeUndefined();
      expect(validator.safeParse({ ...content, cases: [{ ...content.cases[0], stepz: 1 }] }).success).toBe(false);
    }
  });

  it("have a description for every field", () => {
    const missing: string[] = [];
    const walk = (node: Record<string, unknown>, path: string) => {
      for (const [name, child] of Object.entries((node.properties ?? {}) as Record<string, Record<string, unknown>>)) {
        if (typeof child.description !== "string") missing.push(`${path}.${name}`);
        else if (
          !/Default|must|^Name of|At least one|As seen|seen from the suite|Identifier|A trained model|in English/.test(
            child.description,
          )
        )
          missing.push(`${path}.${name}: no default`);
        for (const inner of [child, child.items, ...((child.anyOf as object[]) ?? [])])
          if (inner) walk(inner as Record<string, unknown>, `${path}.${name}`);
      }
    };
    walk(suiteJsonSchema(), "");
    expect(missing.filter((one) => !one.endsWith("description: no default"))).toEqual([]);
    expect(Object.keys(suiteSchema.shape)).toEqual(["name", "description", "defaults", "cases"]);
  });
});
