import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadQuickstartData } from "./quickstart-data.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "gradbank-data-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function pairs(name: string, rows: number): Promise<string> {
  const path = join(root, name);
  const lines = Array.from({ length: rows }, (_, row) => `question ${row}\tanswer ${row}`);
  await writeFile(path, `question\tanswer\n${lines.join("\n")}\n`);
  return path;
}

describe("loadQuickstartData", () => {
  it("parts WordNet the same way every time, without a test row among those to train on", async () => {
    const [first, second] = [await loadQuickstartData(undefined, 5120), await loadQuickstartData(undefined, 300)];
    expect([first.train.length, first.task.queries, first.task.documents]).toEqual([5120, 500, 3000]);
    expect(first.task.evaluator.primaryMetric).toBe("wordnet-test_cosine_ndcg@10");
    expect(second.train.length).toBe(300);
    const rows = Int32Array.from({ length: 300 }, (_, row) => row);
    expect(await first.train.readRows(rows)).toEqual(await second.train.readRows(rows));
    expect(first.example).toEqual((await first.train.readRows([0]))[0]);
    expect(first.example).toHaveLength(2);
  });

  it("holds back a fifth of a small file, each row on one side only", async () => {
    const { train, task, name } = await loadQuickstartData(await pairs("small.tsv", 50), 1000);
    expect([train.length, task.queries, task.documents]).toEqual([40, 10, 10]);
    expect(name).toBe(join(root, "small.tsv"));
    const left = await train.readRows(Int32Array.from({ length: 40 }, (_, row) => row));
    expect(new Set(left.map(([question]) => question)).size).toBe(40);
  });

  it("says what is too little", async () => {
    await expect(loadQuickstartData(await pairs("nine.tsv", 9), 10)).rejects.toMatchObject({
      code: "too-few-rows",
      message: expect.stringContaining("9 rows"),
    });
    const path = join(root, "one-column.csv");
    await writeFile(path, `text\n${"a\n".repeat(20)}`);
    await expect(loadQuickstartData(path, 10)).rejects.toMatchObject({ code: "too-few-rows" });
  });

  it("says which file is not there", async () => {
    await expect(loadQuickstartData(join(root, "none.csv"), 10)).rejects.toMatchObject({
      message: expect.stringContaining("none.csv"),
    });
  });
});
