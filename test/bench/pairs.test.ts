import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InMemoryDataset } from "@gradbank/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { drawBatches, loadPairs } from "./pairs.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-pairs-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function write(rows: readonly object[]): Promise<string> {
  const path = join(folder, "pairs.jsonl");
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join("\n"));
  return path;
}

const rows = Array.from({ length: 50 }, (_, index) => ({ query: `q ${index}`, document: `d ${index}` }));

test("what is evaluated is not trained on, and every query has its own document", async () => {
  const { train, retrieval } = await loadPairs(await write(rows), { queries: 5, documents: 20 });
  const trained = await train.readRows(Int32Array.from({ length: train.length }, (_, row) => row));
  const documents = Object.values(retrieval.corpus);
  expect([train.length, documents.length, Object.keys(retrieval.queries).length]).toEqual([30, 20, 5]);
  expect([...trained.map((row) => row[1]!), ...documents].sort()).toEqual(rows.map((row) => row.document).sort());
  for (const [id, query] of Object.entries(retrieval.queries))
    expect(retrieval.relevantDocs[id]!.map((document) => retrieval.corpus[document])).toEqual([
      query.replace("q", "d"),
    ]);
});

test("refuses data that is too small or has no pairs", async () => {
  await expect(loadPairs(await write(rows), { queries: 5, documents: 50 })).rejects.toMatchObject({
    code: "too-few-rows",
    message: expect.stringContaining("has 50 rows; the evaluation alone takes 50"),
  });
  await expect(loadPairs(await write([{ text: "a" }]), { queries: 1, documents: 1 })).rejects.toMatchObject({
    code: "too-few-columns",
  });
});

test("batches are full, and go on after the end of the data", async () => {
  const dataset = InMemoryDataset.fromRows(
    ["query", "document"],
    rows.slice(0, 10).map(({ query, document }) => [query, document]),
  );
  const batches = await drawBatches(dataset, 4, 5);
  expect(batches.map((batch) => batch.length)).toEqual([4, 4, 4, 4, 4]);
  for (const batch of batches) expect(new Set(batch.map((row) => row[0])).size).toBe(4);
  expect(batches[2]).not.toEqual(batches[0]);
  await expect(drawBatches(dataset, 11, 1)).rejects.toMatchObject({ code: "too-few-rows" });
});
