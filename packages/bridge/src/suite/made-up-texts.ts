import { createHash } from "node:crypto";
import type { TextOptions } from "./resolved-case.ts";

/** Words that tokenizers part, lower and normalise in their own ways. */
const unusualWords = ["Zürich", "don't", "3.14", "東京", "C++", "naïve", "ÅNGSTRÖM", "e-mail", "e\u0301tude", "🙂"];
/** One word of so many is an unusual one, as long as there are any. */
const unusualEvery = 12;
const consonants = "bcdfghjklmnpqrstvwxz";
const vowels = "aeiou";

/** Texts that rows have in common. */
const commonTexts = 8;

/**
 * Makes up rows of texts: words of syllables, and a few that tokenizers find hard. Some rows hold a text that other rows
 * hold too, in any column.
 *
 * @returns one list a row, with one text a column; the same for the same options, on every machine.
 */
export function madeUpTexts(
  { words, seed, lengths: [fewest, most], repeats }: Omit<TextOptions, "rows">,
  { rows, columns }: { readonly rows: number; readonly columns: number },
): string[][] {
  const vocabulary = makeWords(words);
  const draw = draws(seed);
  const text = () => Array.from({ length: fewest + draw(most - fewest + 1) }, () => vocabulary[draw(words)]!).join(" ");
  const common = Array.from({ length: commonTexts }, text);
  return Array.from({ length: rows }, () => {
    const row = Array.from({ length: columns }, text);
    if (draw(1000) < 1000 * repeats) row[draw(columns)] = common[draw(commonTexts)]!;
    return row;
  });
}

/** The first `count` words: they do not depend on the seed, so that models share a tokenizer. */
function makeWords(count: number): string[] {
  const draw = draws(0);
  const syllable = () => consonants[draw(consonants.length)]! + vowels[draw(vowels.length)]!;
  const words = new Set<string>();
  while (words.size < count) {
    const unusual =
      (words.size + 1) % unusualEvery === 0 ? unusualWords[(words.size + 1) / unusualEvery - 1] : undefined;
    words.add(unusual ?? Array.from({ length: 1 + draw(4) }, syllable).join(""));
  }
  return [...words];
}

/** A function that draws whole numbers from 0 to `below - 1`: from hashes of a counter. */
function draws(seed: number): (below: number) => number {
  let count = 0;
  return (below) => createHash("sha256").update(`${seed}/${count++}`).digest().readUInt32LE(0) % below;
}
