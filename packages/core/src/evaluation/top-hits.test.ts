import fc from "fast-check";
import { expect, test } from "vitest";
import { TopHits } from "./top-hits.ts";

test("keeps the first documents of the sorted order, whatever the blocks", () => {
  const search = fc.integer({ min: 1, max: 60 }).chain((documents) =>
    fc.record({
      scores: fc.array(fc.integer({ min: -3, max: 3 }), { minLength: documents, maxLength: documents }),
      ranks: fc.shuffledSubarray(
        Array.from({ length: documents }, (_, rank) => rank),
        { minLength: documents },
      ),
      capacity: fc.integer({ min: 1, max: 70 }),
      block: fc.integer({ min: 1, max: 20 }),
    }),
  );
  fc.assert(
    fc.property(search, ({ scores, ranks, capacity, block }) => {
      const hits = new TopHits(2, capacity, Int32Array.from(ranks));
      for (let start = 0; start < scores.length; start += block) {
        const part = scores.slice(start, start + block);
        // The second query sees the same scores, turned around: queries must not mix.
        hits.offer(0, Float32Array.from([99, ...part]), 1, part.length + 1, start);
        hits.offer(
          1,
          Float32Array.from(part, (score) => -score),
          0,
          part.length,
          start,
        );
      }
      const expected = (sign: number): number[] =>
        scores
          .map((_, document) => document)
          .sort((a, b) => sign * (scores[b]! - scores[a]!) || ranks[a]! - ranks[b]!)
          .slice(0, capacity);
      expect([...hits.best(0)]).toEqual(expected(1));
      expect([...hits.best(1)]).toEqual(expected(-1));
    }),
    { numRuns: 500 },
  );
});
