import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SentenceEncoder } from "@gradbank/core";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Reference } from "../reference/reference.ts";
import { caseModelFolder, caseSteps, prepareCase } from "./case-data.ts";
import type { ResolvedCase } from "./resolved-case.ts";
import { readSuite, shippedSuites } from "./suite-file.ts";

let folder: string;
let usual: ResolvedCase;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-case-data-"));
  await writeFile(join(folder, "suite.yaml"), "name: s\ncases: [{ name: usual }]\n");
  usual = (await readSuite(join(folder, "suite.yaml"))).cases[0]!;
});
afterAll(() => rm(folder, { recursive: true }));

describe("caseSteps", () => {
  it("gives every step its batches, with no text twice in a batch, and a short one at the end of each half", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          columns: fc.integer({ min: 2, max: 5 }),
          batchSize: fc.integer({ min: 3, max: 9 }),
          gradientAccumulationSteps: fc.integer({ min: 1, max: 3 }),
          steps: fc.integer({ min: 1, max: 5 }),
          seed: fc.nat(100),
          lastBatch: fc.option(fc.constantFrom(1, 2)),
          rows: fc.option(fc.integer({ min: 30, max: 50 })),
        }),
        async ({ rows, ...fields }) => {
          const settings = { ...usual, ...fields, data: { ...usual.data, rows } as ResolvedCase["data"] };
          const steps = await caseSteps(settings);
          expect(steps).toHaveLength(fields.steps);
          const half = Math.ceil(fields.steps / 2);
          for (const [step, batches] of steps.entries()) {
            expect(batches).toHaveLength(fields.gradientAccumulationSteps);
            for (const [index, batch] of batches.entries()) {
              const isShort =
                fields.lastBatch !== null &&
                index === batches.length - 1 &&
                (step + 1 === half || step + 1 === fields.steps);
              const expected = isShort ? fields.lastBatch! : fields.batchSize;
              expect(batch.map((column) => column.length)).toEqual(Array(fields.columns).fill(expected));
              expect(new Set(batch.flat()).size).toBe(fields.columns * expected);
            }
          }
          expect(await caseSteps(settings)).toEqual(steps);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("goes over the rows again when there are too few, in another order", async () => {
    const data = { ...usual.data, rows: 12, repeats: 0 } as ResolvedCase["data"];
    const steps = await caseSteps({ ...usual, data, steps: 4 });
    const [first, second] = [steps.slice(0, 2), steps.slice(2)].map((pass) => pass.flat(3));
    expect([...first!].sort()).toEqual([...second!].sort());
    expect(first).not.toEqual(second);
  });

  it("reads files, and takes the columns that are named", async () => {
    const file = join(folder, "pairs.csv");
    const rows = Array.from({ length: 20 }, (_, row) => `id${row},question ${row},answer ${row}`);
    await writeFile(file, ["id,question,answer", ...rows].join("\n"));
    const texts = async (columns: string[] | null, count: number) =>
      (await caseSteps({ ...usual, columns: count, data: { kind: "file", file, columns } })).flat(2);
    expect((await texts(["question", "answer"], 2)).flat().every((text) => /^(question|answer) \d+$/.test(text))).toBe(
      true,
    );
    expect((await texts(null, 2))[0]!.every((text) => text.startsWith("id"))).toBe(true);
    expect(await texts(null, 3)).toHaveLength(3 * usual.steps);
    await expect(texts(null, 4)).rejects.toMatchObject({ code: "missing-column", message: /has 3 columns/ });
    await expect(texts(["question", "wrong"], 2)).rejects.toMatchObject({ code: "missing-column" });
  });

  it("refuses rows that give no full batch", async () => {
    const file = join(folder, "same.csv");
    await writeFile(file, `a,b\n${"one,two\n".repeat(20)}`);
    await expect(caseSteps({ ...usual, data: { kind: "file", file, columns: null } })).rejects.toMatchObject({
      code: "too-few-rows",
      message: /Case "usual": the 20 rows of .*same\.csv give no batch of 6 rows/,
    });
  });

  it("takes real sentences from WordNet", async () => {
    const steps = await caseSteps({ ...usual, data: { kind: "wordNet" } });
    expect(steps.flat(3)).toHaveLength(2 * 6 * usual.steps);
    expect(steps.map((step) => step[0]![0]!.join(" ")).join(" ")).toMatch(/\b(the|of|a)\b/);
  });

  it("repeats texts of the batches before wherever a shipped case masks duplicates", async () => {
    const bank = (await shippedSuites()).find(({ name }) => name === "bank")!;
    const { cases } = await readSuite(bank.path);
    let repeated = 0;
    const masking = cases.filter(
      ({ loss }) => loss.bank && !loss.bank.compatibility && loss.bank.maskDuplicates !== false,
    );
    for (const settings of masking) {
      const batches = (await caseSteps(settings)).flat();
      // An anchor or positive whose text some column of an earlier batch within reach of the bank has.
      const reach = Math.ceil(settings.loss.bank!.capacity / settings.batchSize);
      repeated += batches.some((batch, index) => {
        const earlier = new Set(batches.slice(Math.max(0, index - reach), index).flat(2));
        return batch
          .slice(0, 2)
          .flat()
          .some((text) => earlier.has(text));
      })
        ? 1
        : 0;
    }
    expect(masking.length).toBeGreaterThan(15);
    expect(repeated / masking.length).toBeGreaterThan(0.9);
  });
});

describe("prepareCase", () => {
  let reference: Reference;
  beforeAll(async () => {
    reference = await Reference.start({ threads: 1 });
  });
  afterAll(() => reference?.close());

  it("has random models made once, and shares them between cases", async () => {
    const cache = join(folder, "models");
    const first = await prepareCase(usual, reference, cache);
    expect(first.steps).toEqual(await caseSteps(usual));
    const encoder = await SentenceEncoder.load(first.modelFolder);
    expect(encoder.architecture).toMatchObject({ hiddenSize: 32 });
    // Texts that the tokenizer does not know would all look alike.
    const tokens = first.steps.flat(3).map((text) => [...encoder.tokenize([text])[0]!]);
    const unknown = encoder.tokenize(["\u{1F9FF}"])[0]![1]!;
    expect(new Set(tokens.map(String)).size).toBe(new Set(first.steps.flat(3)).size);
    expect(tokens.flat().includes(unknown)).toBe(false);
    await encoder.release();

    const random = usual.model as Extract<ResolvedCase["model"], { kind: "random" }>;
    const again = { ...usual, steps: 5, seed: 1, columns: 4 };
    expect((await prepareCase(again, reference, cache)).modelFolder).toBe(first.modelFolder);
    const other = { ...usual, model: { ...random, pooling: "cls" as const } };
    expect((await prepareCase(other, reference, cache)).modelFolder).not.toBe(first.modelFolder);
    expect((await readdir(cache)).filter((name) => /^bert-[0-9a-f]{16}$/.test(name))).toHaveLength(2);
  });

  it("takes other models from where they are", async () => {
    const at = (model: ResolvedCase["model"]) => caseModelFolder({ ...usual, model }, [], reference, folder);
    expect(await at({ kind: "folder", folder: "/some/model" })).toBe("/some/model");
    expect(await at({ kind: "pretrained", name: "all-MiniLM-L6-v2" })).toBe(await reference.minilmFolder());
  });
});
