import { InMemoryDataset, type TextEncoder } from "@gradbank/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import { createRetrievalTask } from "./retrieval-task.ts";

/** Embeds each text on the unit circle, at an angle that only the text decides. */
const encoder: TextEncoder = {
  encode: async (texts) => ({
    rows: texts.length,
    dimension: 2,
    data: Float32Array.from(texts.flatMap((text) => [Math.cos(angle(text)), Math.sin(angle(text))])),
  }),
};

function angle(text: string): number {
  let value = 7;
  for (const character of text) value = (value * 31 + character.codePointAt(0)!) % 1009;
  return value / 180;
}

it("asks each query once, among each document once, and takes every partner as right", async () => {
  const text = (prefix: string) => fc.integer({ min: 0, max: 6 }).map((number) => `${prefix} ${number}`);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(text("query"), text("document")), { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 12 }),
      async (rows, queryRows) => {
        const task = await createRetrievalTask("t", InMemoryDataset.fromRows(["a", "b"], rows), queryRows);
        const queries = [...new Set(rows.slice(0, queryRows).map(([query]) => query))];
        const documents = [...new Set(rows.map(([, document]) => document))];
        expect([task.queries, task.documents]).toEqual([queries.length, documents.length]);

        const firstIsRight = queries.map((query) => {
          const score = (document: string) => Math.fround(Math.cos(angle(query) - angle(document)));
          const best = Math.max(...documents.map(score));
          const winners = documents.filter((document) => best - score(document) < 1e-5);
          const right = new Set(rows.filter(([other]) => other === query).map(([, document]) => document));
          return winners.map((winner) => right.has(winner));
        });
        // Where several documents score alike, rounding decides which comes first.
        fc.pre(firstIsRight.every((winners) => new Set(winners).size === 1));
        const metrics = await task.evaluator.evaluate(encoder);
        const share = firstIsRight.filter(([isRight]) => isRight).length / queries.length;
        expect(metrics["t_cosine_accuracy@1"]).toBeCloseTo(share, 10);
      },
    ),
  );
});
