import { intercept } from "./intercept.ts";
import type { Mutant } from "./mutant.ts";

/** Bugs between the texts and the token ids. */
export const tokenMutants: readonly Mutant[] = [
  {
    name: "truncation-one-too-early",
    what: "Long texts are cut one token too early.",
    overrides: { maxSequenceLength: 8 },
    stages: ["tokens"],
    effectStep: 1,
    seams: () => ({
      encoder: (encoder) =>
        intercept(encoder, "tokenize", () => (texts) => encoder.tokenizer.encode(texts, { maxLength: 7 })),
    }),
  },
  {
    name: "separator-cut-off",
    what: "Truncation takes the closing special token instead of the last word's.",
    overrides: { maxSequenceLength: 8 },
    stages: ["tokens"],
    effectStep: 1,
    seams: () => ({
      encoder: (encoder) =>
        intercept(encoder, "tokenize", (tokenize) => (texts) => {
          const whole = encoder.tokenizer.encode(texts, { maxLength: 64 });
          return tokenize(texts).map((row, index) =>
            whole[index]!.length > row.length ? whole[index]!.slice(0, row.length) : row,
          );
        }),
    }),
  },
  {
    name: "accents-kept",
    what: "Letters with accents are not taken apart before the vocabulary is looked up.",
    overrides: { texts: { words: 40 } },
    stages: ["tokens"],
    effectStep: 1,
    seams: () => ({
      encoder: (encoder) =>
        intercept(
          encoder,
          "tokenize",
          (tokenize) => (texts) => tokenize(texts.map((text) => text.replaceAll(/\p{L}\p{M}|[À-ž]/gu, "\u25a1"))),
        ),
    }),
  },
];
