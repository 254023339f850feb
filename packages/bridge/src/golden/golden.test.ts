import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type {
  LockstepBatches,
  ReferenceActivation,
  ReferenceSide,
  ReferenceState,
  ReferenceTensor,
} from "../lockstep/reference-side.ts";
import { type Stage, stages } from "../lockstep/stages.ts";
import type { FloatTensor } from "../protocol/tensor.ts";
import { caseSteps } from "../suite/case-data.ts";
import type { ResolvedCase, ResolvedSuite } from "../suite/resolved-case.ts";
import { readSuite } from "../suite/suite-file.ts";
import { type Golden, openGolden } from "./golden.ts";
import { GoldenRecorder } from "./golden-recorder.ts";

let root: string;
let suite: ResolvedSuite;
let modelFolder: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "gradbank-golden-"));
  await writeFile(
    join(root, "suite.yaml"),
    "name: s\ncases:\n  - { name: 'one (a=1/2)', steps: 2 }\n  - { name: two, steps: 1, limits: { multiple: 3 } }\n",
  );
  suite = await readSuite(join(root, "suite.yaml"));
  modelFolder = join(root, "model");
  await mkdir(join(modelFolder, "1_Pooling"), { recursive: true });
  await mkdir(join(modelFolder, "onnx"));
  await writeFile(join(modelFolder, "config.json"), "{}");
  await writeFile(join(modelFolder, "1_Pooling", "config.json"), '{"a":1}');
  await writeFile(join(modelFolder, "onnx", "model.onnx"), "large");
});
afterAll(() => rm(root, { recursive: true }));

/** A side that answers from what it is given, and notes that it was closed. */
class GivenSide implements ReferenceSide {
  readonly configuration = {
    facts: { scale: 20, directions: ["query_to_doc"], nothing: null, dropout: true },
    environment: { torch: "2.x", threads: 1 },
  };
  closed = false;
  readonly #answers: Answers;
  #step = -1;
  constructor(answers: Answers) {
    this.#answers = answers;
  }
  async tokenize(texts: readonly string[]) {
    return texts.map((text) => [1, text.length, 2]);
  }
  async step(_: LockstepBatches) {
    return this.#answers[++this.#step]!.step;
  }
  async update(_: number) {
    return this.#answers[this.#step]!.update;
  }
  async pull(stage: Stage, names: readonly string[]) {
    return names.map(
      (name) => this.#answers[this.#step]!.pulled.find((one) => one.stage === stage && one.name === name)!,
    );
  }
  async gradients() {
    return this.#answers[this.#step]!.gradients;
  }
  async state() {
    return this.#answers[this.#step]!.state;
  }
  async activations(): Promise<readonly ReferenceActivation[]> {
    return [{ module: "m", shape: [1], value: Float64Array.of(1) }];
  }
  async close() {
    this.closed = true;
  }
}

type Answers = {
  step: ReferenceTensor[];
  update: ReferenceTensor[];
  pulled: ReferenceTensor[];
  gradients: Record<string, FloatTensor>;
  state: ReferenceState;
}[];

const anyNumber = fc.double();
const shape = fc.array(fc.nat(3), { maxLength: 3 });
const numbers = (size: number) => fc.float64Array({ minLength: size, maxLength: size });
const noise = fc.record({ max: anyNumber, rms: anyNumber });
const names = fc.stringMatching(/^[a-z0-9._/]{1,12}$/);
const size = (given: readonly number[]) => given.reduce((product, length) => product * length, 1);

function tensors(of: readonly Stage[]): fc.Arbitrary<ReferenceTensor[]> {
  const facts = {
    stage: fc.constantFrom(...of),
    name: names,
    norm: anyNumber,
    nonFinite: fc.nat(5),
    noise: fc.option(noise, { nil: undefined }),
    sketchNoise: fc.option(noise, { nil: undefined }),
  };
  const one = fc
    .tuple(shape, fc.boolean())
    .chain(([given, isWhole]) =>
      fc.record({
        ...facts,
        shape: fc.constant(given),
        [isWhole ? "value" : "sketch"]: isWhole ? numbers(size(given)) : numbers(2),
      }),
    )
    .map((tensor) => Object.fromEntries(Object.entries(tensor).filter(([, value]) => value !== undefined)));
  return fc.uniqueArray(one as unknown as fc.Arbitrary<ReferenceTensor>, {
    maxLength: 6,
    selector: ({ stage, name }) => `${stage}/${name}`,
  });
}

const floatTensor: fc.Arbitrary<FloatTensor> = fc
  .tuple(shape, fc.boolean())
  .chain(([given, isDouble]) =>
    isDouble
      ? numbers(size(given)).map((data): FloatTensor => ({ dtype: "float64", shape: given, data }))
      : fc
          .float32Array({ minLength: size(given), maxLength: size(given) })
          .map((data): FloatTensor => ({ dtype: "float32", shape: given, data })),
  );
const named = fc.dictionary(names, floatTensor, { maxKeys: 3 });
const beforeUpdate = stages.slice(0, 10);
const afterUpdate = stages.slice(10);
const answersOf = (steps: number) =>
  fc.array(
    fc.record({
      step: tensors(beforeUpdate),
      update: tensors(afterUpdate),
      pulled: tensors(stages),
      gradients: named,
      state: fc
        .record({
          step: fc.nat(9),
          weights: named,
          firstMoments: named,
          secondMoments: named,
          bank: fc.option(fc.array(floatTensor, { maxLength: 12 }), { nil: undefined }),
        })
        .map(({ bank, ...state }) => ({ ...state, ...(bank ? { bank } : {}) })),
    }),
    { minLength: steps, maxLength: steps },
  );

const batchesOf = (seed: number): LockstepBatches => ({
  batches: [
    {
      columns: [
        {
          tokens: [Int32Array.of(1, seed, 2), Int32Array.of(3)],
          dropout: { "layer0.output": { dtype: "uint8", shape: [2, 2], data: Uint8Array.of(1, 0, 1, 1) } },
        },
        { tokens: [Int32Array.of(4), Int32Array.of(5)] },
      ],
    },
  ],
});

/** Asks everything that a comparison asks, in its order. */
async function ask(side: ReferenceSide, answers: Answers): Promise<unknown[]> {
  const heard: unknown[] = [side.configuration, await side.tokenize(["some text", "__proto__"])];
  for (const [index, { step, pulled }] of answers.entries()) {
    heard.push(await side.step(batchesOf(index)));
    const isBefore = ({ stage }: ReferenceTensor) => beforeUpdate.includes(stage as never);
    for (const { stage, name } of pulled.filter(isBefore)) heard.push(await side.pull(stage, [name]));
    heard.push(await side.gradients());
    heard.push(await side.update(index / 7));
    for (const { stage, name } of pulled.filter((one) => !isBefore(one))) heard.push(await side.pull(stage, [name]));
    heard.push(await side.state());
    expect(step).toBeDefined();
  }
  return heard;
}

async function recordSuite(folder: string, answers: readonly Answers[]): Promise<GoldenRecorder> {
  const recorder = await GoldenRecorder.open(folder, suite);
  for (const [index, settings] of suite.cases.entries()) {
    const side = await recorder.record(settings, modelFolder, new GivenSide(answers[index]!));
    await ask(side, answers[index]!);
    await side.close();
  }
  return recorder;
}

const sampleAnswers = (): Answers[] =>
  suite.cases.map(({ steps }, index) => fc.sample(answersOf(steps), { numRuns: 1, seed: index })[0]!);

/** A golden folder whose content does not matter. */
async function sampleGolden(name: string): Promise<{ folder: string; golden: Golden; answers: Answers[] }> {
  const folder = join(root, name);
  const answers = sampleAnswers();
  await (await recordSuite(folder, answers)).finish();
  return { folder, golden: await openGolden(folder), answers };
}

describe("a golden folder", () => {
  it("repeats whatever the reference answered, number by number", async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(answersOf(2), answersOf(1), async (first, second) => {
        const folder = join(root, `run-${run++}`);
        const recorder = await GoldenRecorder.open(folder, suite);
        const heard: unknown[][] = [];
        for (const [index, answers] of [first, second].entries()) {
          const given = new GivenSide(answers);
          const side = await recorder.record(suite.cases[index]!, modelFolder, given);
          heard.push(await ask(side, answers));
          expect(await side.activations(0, 0)).toHaveLength(1);
          await side.close();
          expect(given.closed).toBe(true);
        }
        await recorder.finish();
        const golden = await openGolden(folder);
        for (const [index, answers] of [first, second].entries()) {
          const { side, steps } = await golden.prepare(suite.cases[index]!);
          expect(await ask(side, answers)).toEqual(heard[index]);
          expect(steps).toEqual(await caseSteps(suite.cases[index]!));
          expect(await side.activations()).toEqual([]);
          await side.close();
        }
      }),
      { numRuns: 25 },
    );
  });

  it("holds the model once, whole, but for exports, and is the same when it is recorded again", async () => {
    const { folder, golden } = await sampleGolden("again-1");
    await sampleGolden("again-2");
    const { modelFolder: copy } = await golden.prepare(suite.cases[0]!);
    expect((await readdir(copy, { recursive: true })).sort()).toEqual([
      "1_Pooling",
      "1_Pooling/config.json",
      "config.json",
    ]);
    expect(await readdir(join(folder, "models"))).toHaveLength(1);
    expect(golden.manifest.cases.map((one) => one.folder)).toEqual(["001-one-a-1-2", "002-two"]);
    expect(golden.manifest).toMatchObject({ version: 1, suite: "s", environment: { torch: "2.x", threads: 1 } });
    for (const file of ["manifest.json", "cases/001-one-a-1-2/step-0002.safetensors"])
      expect(await readFile(join(folder, file))).toEqual(await readFile(join(root, "again-2", file)));
    expect((await readdir(root)).filter((entry) => entry.startsWith("."))).toEqual([]);
  });
});

describe("a golden folder that does not fit", () => {
  it("tells every setting that differs", async () => {
    const { golden } = await sampleGolden("settings");
    const [one, two] = suite.cases as [ResolvedCase, ResolvedCase];
    golden.check([one, { ...two, limits: {}, description: "other words" }]);
    const changed = {
      ...one,
      steps: 5,
      loss: { ...one.loss, scale: 3, directions: ["query_to_doc" as const, "doc_to_doc" as const] },
    };
    expect(() => golden.check([changed, two])).toThrow(
      expect.objectContaining({
        code: "golden-mismatch",
        facts: expect.objectContaining({
          differences: [
            { case: one.name, path: "steps", recorded: 2, wanted: 5 },
            {
              case: one.name,
              path: "loss.directions",
              recorded: ["query_to_doc"],
              wanted: ["query_to_doc", "doc_to_doc"],
            },
            { case: one.name, path: "loss.scale", recorded: 20, wanted: 3 },
          ],
        }),
        message: expect.stringContaining("loss.scale is 3, recorded was 20"),
      }),
    );
    await expect(golden.prepare(changed)).rejects.toMatchObject({ code: "golden-mismatch" });
    expect(() => golden.check([{ ...one, name: "new" }])).toThrow(
      /holds no case "new"; it holds "one \(a=1\/2\)", "two"/,
    );
  });

  it("does not depend on where the suite's files lie", async () => {
    const at = (folder: string): ResolvedCase => ({
      ...suite.cases[0]!,
      model: { kind: "folder", folder: join(folder, "m") },
      data: { kind: "file", file: join(folder, "x.csv"), columns: null },
      reference: { file: join(folder, "a.py"), class: "A", options: {} },
    });
    const recorder = await GoldenRecorder.open(join(root, "paths"), { ...suite, cases: [at("/here")] });
    const [answers] = sampleAnswers();
    const side = await recorder.record(at("/here"), modelFolder, new GivenSide(answers!));
    await ask(side, answers!);
    await recorder.finish();
    const golden = await openGolden(join(root, "paths"));
    golden.check([at("/there/and/there")]);
    expect(await readFile(join(root, "paths", "manifest.json"), "utf8")).not.toMatch(/here/);
    expect(() => golden.check([{ ...at("/here"), model: { kind: "folder", folder: "/here/n" } }])).toThrow(
      /model\.folder is "n"/,
    );
  });

  it("refuses other tokens, masks, texts, learning rates, and more steps", async () => {
    const { golden } = await sampleGolden("inputs");
    const side = async () => (await golden.prepare(suite.cases[1]!)).side;
    const mismatch = (message: RegExp) => ({ code: "golden-mismatch", message });
    const others: LockstepBatches[] = [
      batchesOf(7),
      { batches: [{ columns: [batchesOf(0).batches[0]!.columns[0]!] }] },
      { batches: [...batchesOf(0).batches, ...batchesOf(0).batches] },
      {
        batches: [
          { columns: [{ ...batchesOf(0).batches[0]!.columns[0]!, dropout: {} }, batchesOf(0).batches[0]!.columns[1]!] },
        ],
      },
    ];
    const flipped = structuredClone(batchesOf(0));
    flipped.batches[0]!.columns[0]!.dropout!["layer0.output"]!.data[3] = 0;
    for (const batches of [...others, flipped])
      await expect((await side()).step(batches)).rejects.toMatchObject(
        mismatch(/other token ids or dropout masks in step 1/),
      );
    const good = await side();
    await expect(good.gradients()).rejects.toMatchObject(mismatch(/before its first step/));
    await good.step(batchesOf(0));
    await expect(good.update(0.5)).rejects.toMatchObject(mismatch(/learning rate 0 in step 1, not 0\.5/));
    await expect(good.tokenize(["never seen"])).rejects.toMatchObject(mismatch(/no tokens of the text "never seen"/));
    await expect(good.tokenize(["constructor"])).rejects.toMatchObject(mismatch(/no tokens/));
    await expect(good.pull("weights", ["nowhere"])).rejects.toMatchObject(mismatch(/no tensor nowhere/));
    await expect(good.step(batchesOf(1))).rejects.toMatchObject(mismatch(/holds 1 steps, not 2/));
  });

  it("gives sketches where nothing whole was recorded", async () => {
    const sketched: ReferenceTensor = {
      stage: "parameter-gradients",
      name: "w",
      shape: [512],
      sketch: Float64Array.of(1, 2),
      norm: 3,
      nonFinite: 0,
    };
    const [answers] = fc.sample(answersOf(1), 1);
    answers![0]!.step = [sketched];
    answers![0]!.pulled = [];
    const recorder = await GoldenRecorder.open(join(root, "sketches"), suite);
    const side = await recorder.record(suite.cases[1]!, modelFolder, new GivenSide(answers!));
    await ask(side, answers!);
    await recorder.finish();
    const { side: golden } = await (await openGolden(join(root, "sketches"))).prepare(suite.cases[1]!);
    await golden.step(batchesOf(0));
    expect(await golden.pull("parameter-gradients", ["w"])).toEqual([sketched]);
  });
});

describe("a damaged golden folder", () => {
  it("is found out, whichever file is cut, changed or missing", async () => {
    const { folder, answers } = await sampleGolden("damage");
    const files = (await readdir(folder, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && entry.name !== "manifest.json")
      .map((entry) => join(entry.parentPath, entry.name));
    expect(files).toHaveLength(7);
    const use = async () => {
      const golden = await openGolden(folder);
      for (const [index, settings] of suite.cases.entries())
        await ask((await golden.prepare(settings)).side, answers[index]!);
    };
    await use();
    for (const file of files) {
      const content = await readFile(file);
      for (const damaged of [
        content.subarray(0, content.length - 1),
        Buffer.concat([content, Buffer.of(0)]),
        undefined,
      ]) {
        await rm(file);
        if (damaged) await writeFile(file, damaged);
        await expect(use(), file).rejects.toMatchObject({ code: "golden-damaged" });
      }
      const changed = Buffer.from(content);
      changed[content.length >> 1]! ^= 1;
      await writeFile(file, changed);
      await expect(use(), file).rejects.toMatchObject({ code: "golden-damaged" });
      await writeFile(file, content);
    }
    await use();
  });

  it.each([
    ["no JSON", "{"],
    ["no object", "null"],
    ["another version", '{"version":99}'],
    ["another form", '{"version":1,"suite":"s"}'],
  ])("with a manifest of %s", async (_, content) => {
    const folder = await mkdtemp(join(root, "manifest-"));
    await writeFile(join(folder, "manifest.json"), content);
    await expect(openGolden(folder)).rejects.toMatchObject({
      code: "golden-damaged",
      message: /manifest\.json cannot be used/,
    });
  });

  it("that is none", async () => {
    await expect(openGolden(join(root, "nowhere"))).rejects.toMatchObject({ code: "golden-missing" });
    await expect(openGolden(modelFolder)).rejects.toMatchObject({
      code: "golden-missing",
      message: /is no golden folder/,
    });
  });
});

describe("writing", () => {
  const temporary = async () => (await readdir(root)).filter((entry) => entry.startsWith(".target"));

  it("replaces an older golden folder, whole", async () => {
    const { folder } = await sampleGolden("older");
    await rm(join(folder, "cases", "002-two"), { recursive: true });
    await (await recordSuite(folder, sampleAnswers())).finish();
    expect(await readdir(join(folder, "cases"))).toEqual(["001-one-a-1-2", "002-two"]);
  });

  it("leaves nothing when a case lacks steps, or nothing was recorded", async () => {
    const target = join(root, "target-unfinished");
    const recorder = await GoldenRecorder.open(target, suite);
    const [answers] = sampleAnswers();
    const side = await recorder.record(suite.cases[0]!, modelFolder, new GivenSide(answers!));
    await side.step(batchesOf(0));
    await side.update(0);
    await side.step(batchesOf(1));
    await expect(recorder.finish()).rejects.toMatchObject({
      code: "golden-unfinished",
      facts: { recorded: 1, expected: 2 },
    });
    await recorder.discard();
    await recorder.discard();
    const empty = await GoldenRecorder.open(target, suite);
    await expect(empty.finish()).rejects.toMatchObject({ code: "golden-unfinished" });
    await empty.discard();
    await expect(readdir(target)).rejects.toMatchObject({ code: "ENOENT" });
    expect(await temporary()).toEqual([]);
  });

  it("refuses a folder that holds something else, before and after the recording", async () => {
    const target = join(root, "target-other");
    await mkdir(target);
    const recorder = await recordSuite(target, sampleAnswers());
    await writeFile(join(target, "thesis.txt"), "precious");
    await expect(recorder.finish()).rejects.toMatchObject({ code: "golden-target", message: /thesis\.txt/ });
    await recorder.discard();
    await expect(GoldenRecorder.open(target, suite)).rejects.toMatchObject({ code: "golden-target" });
    await writeFile(join(target, "manifest.json"), '{"suiteHash":""}');
    await expect(GoldenRecorder.open(target, suite)).rejects.toMatchObject({ code: "golden-target" });
    await expect(GoldenRecorder.open(join(target, "thesis.txt"), suite)).rejects.toMatchObject({
      code: "golden-target",
    });
    expect(await readFile(join(target, "thesis.txt"), "utf8")).toBe("precious");
    expect(await temporary()).toEqual([]);
  });
});
