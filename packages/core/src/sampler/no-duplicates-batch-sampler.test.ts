import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { type Dataset, InMemoryDataset } from "../data/dataset.ts";
import { OptionError } from "../errors.ts";
import { MersenneTwister } from "../random/mersenne-twister.ts";
import type { BatchSampler } from "./batch-sampler.ts";
import { NoDuplicatesBatchSampler } from "./no-duplicates-batch-sampler.ts";
import { RandomBatchSampler } from "./random-batch-sampler.ts";

interface Case {
  name: string;
  sampler: "no_duplicates" | "batch_sampler";
  batchSize: number;
  dropLast: boolean;
  seed: number;
  epochs: number[][][];
}

const [head, ...cases] = readFileSync(new URL("./__fixtures__/batches.jsonl", import.meta.url), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line)) as [{ tables: Record<string, Record<string, number[]>> }, ...Case[]];

const draw = (sampler: BatchSampler, epoch: number): number[][] =>
  Array.from(sampler.batches(epoch), (batch) => Array.from(batch));

const toDataset = (table: Record<string, number[]>): Dataset =>
  InMemoryDataset.fromColumns(
    Object.fromEntries(Object.entries(table).map(([name, cells]) => [name, cells.map((cell) => `t${cell}`)])),
  );

test.each(cases)(
  "the batches of sentence-transformers: $name, $sampler, batch size $batchSize, drop last $dropLast",
  async ({ name, sampler: kind, batchSize, dropLast, seed, epochs }) => {
    vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const dataset = toDataset(head.tables[name]!);
    const sampler =
      kind === "no_duplicates"
        ? await NoDuplicatesBatchSampler.create(dataset, { batchSize, dropLast, seed })
        : new RandomBatchSampler(dataset.length, { batchSize, dropLast, seed });
    expect(sampler.length).toBe(Math[dropLast ? "floor" : "ceil"](dataset.length / batchSize));
    // Later epochs first: an epoch does not depend on the ones before it.
    for (const epoch of [2, 0, 1]) expect(draw(sampler, epoch)).toEqual(epochs[epoch]);
  },
);

test("the golden batches of the reference notes", async () => {
  const dataset = InMemoryDataset.fromColumns({ a: [..."abcadefbgh"], p: [..."1234516782"] });
  const batchesOf = async (batchSize: number, dropLast: boolean): Promise<number[][]> =>
    draw(await NoDuplicatesBatchSampler.create(dataset, { batchSize, dropLast, seed: 42 }), 0);
  expect(await batchesOf(4, false)).toEqual([
    [2, 6, 1, 8],
    [4, 5, 9, 3],
    [0, 7],
  ]);
  expect(await batchesOf(4, true)).toEqual([
    [2, 6, 1, 8],
    [4, 5, 9, 3],
  ]);
  expect(await batchesOf(3, false)).toEqual([[2, 6, 1], [8, 4, 5], [0, 9, 7], [3]]);
});

/** Fills batch after batch by scanning the remaining rows, as sentence-transformers describes it. */
function scanForBatches(rows: string[][], order: number[], batchSize: number): number[][] {
  let remaining = order;
  const batches: number[][] = [];
  while (remaining.length > 0) {
    const batch: number[] = [];
    const texts = new Set<string>();
    const later: number[] = [];
    for (const row of remaining) {
      if (batch.length === batchSize || rows[row]!.some((text) => texts.has(text))) {
        later.push(row);
      } else {
        batch.push(row);
        for (const text of rows[row]!) texts.add(text);
      }
    }
    batches.push(batch);
    remaining = later;
  }
  return batches;
}

test("any table gives the batches of scanning the remaining rows, and no text twice in a batch", async () => {
  const table = fc
    .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 60 }))
    .chain(([columns, texts]) =>
      fc.array(fc.array(fc.nat(texts), { minLength: columns, maxLength: columns }), { minLength: 1, maxLength: 120 }),
    );
  await fc.assert(
    fc.asyncProperty(
      table,
      fc.integer({ min: 1, max: 20 }),
      fc.nat(1000),
      fc.nat(3),
      async (cells, batchSize, seed, epoch) => {
        const rows = cells.map((row) => row.map(String));
        const dataset = InMemoryDataset.fromRows(
          rows[0]!.map((_, column) => `column ${column}`),
          rows,
        );
        const batches = draw(await NoDuplicatesBatchSampler.create(dataset, { batchSize, seed }), epoch);
        const order = [...new MersenneTwister(seed + epoch).permutation(rows.length)];
        expect(batches).toEqual(scanForBatches(rows, order, batchSize));
        for (const batch of batches) {
          const texts = batch.flatMap((row) => [...new Set(rows[row])]);
          expect(new Set(texts).size).toBe(texts.length);
        }
      },
    ),
    { numRuns: 300 },
  );
});

describe("a warning", () => {
  test("says once how many batches repeat rows or are missing", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    warn.mockClear();
    const dataset = InMemoryDataset.fromColumns({ a: Array.from({ length: 40 }, (_, row) => String(row % 4)) });
    const sampler = await NoDuplicatesBatchSampler.create(dataset, { batchSize: 5, dropLast: true });
    expect(draw(sampler, 0)).toEqual([]);
    expect(draw(sampler, 1)).toEqual([]);
    expect(warn).toHaveBeenCalledOnce();
    expect(warn.mock.calls[0]![0]).toContain("gave 0 full batches of 5 in epoch 0; 8 were expected. 8 are missing");
    expect(warn.mock.calls[0]![1]).toMatchObject({ code: "GRADBANK_FEW_BATCHES" });
  });

  test("is not given when all batches are full", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    warn.mockClear();
    const dataset = InMemoryDataset.fromColumns({ a: Array.from({ length: 40 }, (_, row) => String(row)) });
    const sampler = await NoDuplicatesBatchSampler.create(dataset, { batchSize: 7, dropLast: true });
    expect(draw(sampler, 0)).toHaveLength(5);
    expect(warn).not.toHaveBeenCalled();
  });
});

test.each<[string, (rows: number) => Dataset]>([
  ["different texts", (rows) => textsOf(rows, (row) => [`question ${row}`, `answer ${row}`])],
  [
    "one anchor for half of the rows",
    (rows) => textsOf(rows, (row) => [row % 2 ? "a" : `question ${row}`, `answer ${row}`]),
  ],
  [
    "three texts a row, each ten times",
    (rows) => textsOf(rows, (row) => [0, 1, 2].map((c) => `${(row * 7919 * (c + 1)) % (rows / 10)}`)),
  ],
])("a million rows take seconds, not hours: %s", async (_, make) => {
  const dataset = make(1_000_000);
  const start = performance.now();
  const sampler = await NoDuplicatesBatchSampler.create(dataset, { batchSize: 64 });
  let rows = 0;
  for (const batch of sampler.batches(0)) rows += batch.length;
  expect(rows).toBe(1_000_000);
  expect(performance.now() - start).toBeLessThan(30_000);
});

function textsOf(length: number, textsOfRow: (row: number) => string[]): Dataset {
  return {
    columnNames: textsOfRow(0).map((_, column) => `column ${column}`),
    length,
    readRows: async (indices) => Array.from(indices, textsOfRow),
  };
}

test("an empty data set has no batches", async () => {
  const dataset = InMemoryDataset.fromColumns({ a: [] });
  const sampler = await NoDuplicatesBatchSampler.create(dataset, { batchSize: 2 });
  expect(sampler.length).toBe(0);
  expect(draw(sampler, 0)).toEqual([]);
});

test.each([{ batchSize: 0 }, { batchSize: 1.5 }, { batchSize: Number.NaN }, { batchSize: 2, seed: -1 }])(
  "refuses %j",
  async (options) => {
    await expect(NoDuplicatesBatchSampler.create(InMemoryDataset.fromColumns({ a: ["x"] }), options)).rejects.toThrow(
      OptionError,
    );
    expect(() => new RandomBatchSampler(1, options)).toThrow(OptionError);
  },
);
