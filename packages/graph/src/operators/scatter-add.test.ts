import { expect, it } from "vitest";
import { Graph } from "../graph.ts";
import { prepare } from "../testing/evaluate.ts";
import { scatterAdd } from "./shaping.ts";

// Whole numbers: their sums are exact in any order, and a lost update shows.
it.each([
  ["few rows", 12, 512],
  ["many rows", 12, 10_000],
])("loses no update of repeated indices on several threads: %s", async (_, used, rows) => {
  const [count, width] = [3000, 96];
  const graph = new Graph("scatter");
  const indices = graph.input("indices", "int64", ["count"]);
  const updates = graph.input("updates", "float32", ["count", width]);
  const run = await prepare(graph, { sums: scatterAdd(indices, updates, rows) }, 4);
  try {
    for (let round = 1; round <= 5; round++) {
      const index = Array.from({ length: count }, (__, row) => (row * row * round) % used);
      const values = Array.from({ length: count * width }, (__, element) => (element * 7 * round) % 13);
      const expected = new Array<number>(rows * width).fill(0);
      values.forEach((value, element) => {
        expected[index[Math.floor(element / width)]! * width + (element % width)]! += value;
      });
      const { sums } = await run({
        indices: { dataType: "int64", shape: [count], values: index },
        updates: { dataType: "float32", shape: [count, width], values },
      });
      expect(sums!.values.findIndex((value, element) => value !== expected[element])).toBe(-1);
    }
  } finally {
    await run.release();
  }
});
