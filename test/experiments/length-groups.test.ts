import { InMemoryDataset, NoDuplicatesBatchSampler } from "@gradbank/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { groupByLength, lengthGroupedSampler } from "./length-groups.ts";

describe("groupByLength", () => {
  it("parts the same rows, no batch with a longer row than the next batch's shortest", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 8 }),
        (lengths, size) => {
          const rows = lengths.map((_, index) => 1000 - index);
          const groups = groupByLength(rows, lengths, size);
          expect(groups.flatMap((group) => [...group]).sort()).toEqual([...rows].sort());
          expect(groups.slice(0, -1).every((group) => group.length === size)).toBe(true);
          const lengthsOf = groups.map((group) => [...group].map((row) => lengths[1000 - row]!));
          for (const [index, group] of lengthsOf.slice(1).entries())
            expect(Math.min(...group)).toBeGreaterThanOrEqual(Math.max(...lengthsOf[index]!));
        },
      ),
    );
  });
});

describe("lengthGroupedSampler", () => {
  it("gives each update the rows that NO_DUPLICATES gives one batch of them all", async () => {
    const texts = Array.from({ length: 40 }, (_, row) => "x".repeat(1 + ((row * 7) % 13)) + row);
    const dataset = InMemoryDataset.fromColumns({ query: texts, document: texts.map((text) => `${text}!`) });
    const sampler = await lengthGroupedSampler(dataset, {
      batchSize: 4,
      batchesPerUpdate: 3,
      updates: 2,
      seed: 5,
      measure: ([query]) => query!.length,
    });
    const large = await NoDuplicatesBatchSampler.create(dataset, { batchSize: 12, seed: 5 });
    const expected = [...large.batches(0)].slice(0, 2).map((rows) => [...rows].sort());
    const batches = [...sampler.batches(0)].map((rows) => [...rows]);
    expect(batches).toHaveLength(6);
    expect([batches.slice(0, 3), batches.slice(3)].map((group) => group.flat().sort())).toEqual(expected);
  });
});
