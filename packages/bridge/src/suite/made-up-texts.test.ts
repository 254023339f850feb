import fc from "fast-check";
import { expect, it } from "vitest";
import { madeUpTexts } from "./made-up-texts.ts";

const options = fc
  .record({
    words: fc.integer({ min: 1, max: 150 }),
    seed: fc.nat(1000),
    fewest: fc.integer({ min: 1, max: 6 }),
    more: fc.nat(8),
  })
  .map(({ fewest, more, ...others }) => ({ ...others, lengths: [fewest, fewest + more] as const }));

it("makes as many rows, columns, words and different words as asked, and the same again", () => {
  fc.assert(
    fc.property(
      options,
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.nat(30),
      fc.integer({ min: 1, max: 5 }),
      (given, repeats, rows, columns) => {
        const texts = madeUpTexts({ ...given, repeats }, { rows, columns });
        expect(texts.map((row) => row.length)).toEqual(Array(rows).fill(columns));
        for (const text of texts.flat()) {
          const words = text.split(" ");
          expect(words.length).toBeGreaterThanOrEqual(given.lengths[0]);
          expect(words.length).toBeLessThanOrEqual(given.lengths[1]);
        }
        expect(new Set(texts.flat().flatMap((text) => text.split(" "))).size).toBeLessThanOrEqual(given.words);
        expect(madeUpTexts({ ...given, repeats }, { rows, columns })).toEqual(texts);
      },
    ),
    { numRuns: 40 },
  );
});

it("uses all words, lengths and unusual letters, and other texts for another seed", () => {
  const given = { words: 120, seed: 1, lengths: [1, 12] as const, repeats: 0 };
  const texts = madeUpTexts(given, { rows: 500, columns: 2 }).flat();
  expect(new Set(texts.flatMap((text) => text.split(" "))).size).toBe(120);
  expect(new Set(texts.map((text) => text.split(" ").length)).size).toBe(12);
  for (const word of ["Zürich", "don't", "東京", "🙂"]) expect(texts.join(" ")).toContain(word);
  const others = madeUpTexts({ ...given, seed: 2 }, { rows: 500, columns: 2 }).flat();
  expect(others.filter((text) => text.includes(" ") && texts.includes(text)).length).toBeLessThan(50);
});

it("gives the wanted share of rows a text that others have", () => {
  const given = { words: 150, seed: 3, lengths: [8, 12] as const };
  const shareOfRepeats = (repeats: number) => {
    const rows = madeUpTexts({ ...given, repeats }, { rows: 400, columns: 3 });
    const counts = new Map<string, number>();
    for (const text of rows.flat()) counts.set(text, (counts.get(text) ?? 0) + 1);
    return rows.filter((row) => row.some((text) => counts.get(text)! > 1)).length / rows.length;
  };
  expect(shareOfRepeats(0)).toBe(0);
  expect(shareOfRepeats(0.25)).toBeGreaterThan(0.15);
  expect(shareOfRepeats(0.25)).toBeLessThan(0.35);
  expect(shareOfRepeats(1)).toBe(1);
});
