import { expect, test } from "vitest";
import { OptionError } from "../errors.ts";
import { torchRandperm } from "../random/mersenne-twister.ts";
import type { BatchSampler } from "./batch-sampler.ts";
import { GivenBatchSampler } from "./given-batch-sampler.ts";
import { RandomBatchSampler } from "./random-batch-sampler.ts";
import { SequentialBatchSampler } from "./sequential-batch-sampler.ts";

const draw = (sampler: BatchSampler, epoch: number): number[][] =>
  Array.from(sampler.batches(epoch), (batch) => Array.from(batch));

test("SequentialBatchSampler keeps the order of the rows", () => {
  const sampler = new SequentialBatchSampler(7, { batchSize: 3 });
  expect(sampler.length).toBe(3);
  expect(draw(sampler, 0)).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
  expect(draw(sampler, 4)).toEqual(draw(sampler, 0));
  const dropping = new SequentialBatchSampler(7, { batchSize: 3, dropLast: true });
  expect(dropping.length).toBe(2);
  expect(draw(dropping, 0)).toEqual([
    [0, 1, 2],
    [3, 4, 5],
  ]);
});

test("RandomBatchSampler draws each epoch with seed + epoch", () => {
  const sampler = new RandomBatchSampler(10, { batchSize: 4 });
  for (const epoch of [3, 0]) expect(draw(sampler, epoch).flat()).toEqual([...torchRandperm(10, 42 + epoch)]);
  expect(draw(sampler, 0).map((batch) => batch.length)).toEqual([4, 4, 2]);
});

test("GivenBatchSampler repeats what it was given, and keeps its own copy", () => {
  const given = [[3, 1], [2]];
  const sampler = new GivenBatchSampler(given);
  given[0]![0] = 9;
  for (const batch of sampler.batches(0)) batch.fill(7);
  expect(draw(sampler, 1)).toEqual([[3, 1], [2]]);
  expect(sampler.length).toBe(2);
  expect(() => new GivenBatchSampler([[1], []])).toThrow("batch 1 has no rows");
  expect(() => new GivenBatchSampler([[-1]])).toThrow("batch 0 holds -1");
});

test.each([-1, 0.5, Number.NaN])("no sampler takes the epoch %s", (epoch) => {
  const samplers = [
    new SequentialBatchSampler(3, { batchSize: 2 }),
    new RandomBatchSampler(3, { batchSize: 2 }),
    new GivenBatchSampler([[0]]),
  ];
  for (const sampler of samplers) expect(() => draw(sampler, epoch)).toThrow(OptionError);
});
