import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { padSequences, planMiniBatches } from "./token-batch.ts";

const sequences = fc.array(
  fc.array(fc.integer({ min: 2, max: 99 }), { minLength: 1, maxLength: 12 }).map((ids) => Int32Array.from(ids)),
  { minLength: 1, maxLength: 20 },
);

describe("planMiniBatches", () => {
  it("takes every row once, within the limit, longest first", () => {
    fc.assert(
      fc.property(
        sequences,
        fc.integer({ min: 1, max: 8 }),
        fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
        (rows, miniBatchSize, miniBatchNumTokens) => {
          const plan = planMiniBatches(rows, {
            miniBatchSize,
            ...(miniBatchNumTokens === undefined ? {} : { miniBatchNumTokens }),
          });
          const taken = plan.flatMap((miniBatch) => [...miniBatch]);
          expect(taken.toSorted((a, b) => a - b)).toEqual([...rows.keys()]);
          const lengths = taken.map((row) => rows[row]!.length);
          expect(lengths).toEqual(lengths.toSorted((a, b) => b - a));
          for (const miniBatch of plan) {
            const tokens = miniBatch.reduce((sum, row) => sum + rows[row]!.length, 0);
            if (miniBatchNumTokens === undefined) expect(miniBatch.length).toBeLessThanOrEqual(miniBatchSize);
            else expect(miniBatch.length === 1 || tokens <= miniBatchNumTokens).toBe(true);
          }
        },
      ),
    );
  });

  it("fills mini-batches greedily, as sentence-transformers does with lengths in this order", () => {
    const rows = [9, 8, 5, 4, 3, 2, 1].map((length) => new Int32Array(length));
    const plan = planMiniBatches(rows, { miniBatchSize: 1, miniBatchNumTokens: 10 });
    expect(plan.map((miniBatch) => [...miniBatch])).toEqual([[0], [1], [2, 3], [4, 5, 6]]);
  });
});

describe("padSequences", () => {
  it("pads on the right and masks the padding", () => {
    const { length, inputIds, attentionMask } = padSequences([Int32Array.of(7, 8, 9), Int32Array.of(5)], [1, 0], 0);
    expect(length).toBe(3);
    expect(inputIds.shape).toEqual([2, 3]);
    expect([...(inputIds.data as BigInt64Array)]).toEqual([5n, 0n, 0n, 7n, 8n, 9n]);
    expect([...(attentionMask.data as BigInt64Array)]).toEqual([1n, 0n, 0n, 1n, 1n, 1n]);
  });
});
