import fc from "fast-check";
import { expect, it } from "vitest";
import { nameSharedTexts, type SampleTexts } from "./text-names.ts";

const side = (first: number) =>
  fc
    .integer({ min: 1, max: 6 })
    .chain((rows) =>
      fc.tuple(
        fc.array(fc.array(fc.nat(8), { minLength: rows, maxLength: rows }), { minLength: 2, maxLength: 3 }),
        fc.array(fc.nat(5), { minLength: rows, maxLength: rows }),
      ),
    )
    .map(
      ([keys, samples]): SampleTexts => ({
        keys: keys.map((column) => Float64Array.from(column)),
        samples: Int32Array.from(samples, (sample) => sample + first),
      }),
    );

it("two texts have one name exactly when they are equal and another sample has one of them", () => {
  fc.assert(
    fc.property(side(0), side(3), (left, right) => {
      const names = nameSharedTexts(left, right);
      let shared = false;
      for (const [a, leftKeys] of left.keys.entries())
        for (const [b, rightKeys] of right.keys.entries())
          leftKeys.forEach((leftKey, row) => {
            rightKeys.forEach((rightKey, candidate) => {
              if (leftKey !== rightKey || left.samples[row] === right.samples[candidate]) return;
              shared = true;
              const [rowName, candidateName] = [
                names?.rows(left.keys)[a]?.[row],
                names?.candidates(right.keys)[b]?.[candidate],
              ];
              expect(rowName).toBeGreaterThanOrEqual(0);
              expect(candidateName).toBe(rowName);
            });
          });
      expect(names !== undefined).toBe(shared);
      if (!names) return;
      // A name never stands for two texts.
      const texts = new Map<number, number>();
      for (const [named, keys] of [
        [names.rows(left.keys), left.keys],
        [names.candidates(right.keys), right.keys],
      ] as const)
        named.forEach((column, index) => {
          column.forEach((name, row) => {
            if (name < 0) return;
            expect(texts.get(name) ?? keys[index]![row]).toBe(keys[index]![row]);
            texts.set(name, keys[index]![row]!);
          });
        });
    }),
  );
});
