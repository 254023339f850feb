import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Tokenizer } from "./tokenizer.ts";

type Expected = {
  texts: string[];
  tokenizers: Record<
    string,
    {
      class: string;
      padTokenId: number;
      specialTokenIds: number[];
      vocabularySize: number;
      modelMaxLength: number | null;
      ids: number[][];
      wholeLengths: number[];
      truncatedTo7: number[][];
      lowercased: number[][];
    }
  >;
};

const fixtures = join(import.meta.dirname, "__fixtures__");
const { texts, tokenizers } = JSON.parse(readFileSync(join(fixtures, "expected.json"), "utf8")) as Expected;

describe.each(Object.entries(tokenizers))("%s", (name, expected) => {
  const load = () => Tokenizer.load(join(fixtures, name));

  test.each(texts.map((text, index) => [index, text.slice(0, 40)] as const))(
    "text %i as in Python: %j",
    async (index) => {
      const tokenizer = await load();
      const [ids] = tokenizer.encode([texts[index]!], { maxLength: 64 });
      expect([...ids!]).toEqual(expected.ids[index]);
    },
  );

  test("lengths of whole texts and short truncation as in Python", async () => {
    const tokenizer = await load();
    expect(tokenizer.encode(texts, { maxLength: 1_000_000 }).map((ids) => ids.length)).toEqual(expected.wholeLengths);
    expect(tokenizer.encode(texts, { maxLength: 7 }).map((ids) => [...ids])).toEqual(expected.truncatedTo7);
  });

  test("lower-cased first, as sentence-transformers does for do_lower_case", async () => {
    const tokenizer = await Tokenizer.load(join(fixtures, name), { lowercase: true });
    expect(tokenizer.encode(texts, { maxLength: 64 }).map((ids) => [...ids])).toEqual(expected.lowercased);
  });

  test("special tokens, sizes and the longest length as in Python", async () => {
    const tokenizer = await load();
    expect(tokenizer.padTokenId).toBe(expected.padTokenId);
    expect(tokenizer.specialTokenIds).toEqual(expected.specialTokenIds);
    expect(tokenizer.vocabularySize).toBe(expected.vocabularySize);
    expect(tokenizer.modelMaxLength).toBe(expected.modelMaxLength ?? Number.POSITIVE_INFINITY);
  });
});

describe("any text", () => {
  const text = fc.string({ unit: "binary", maxLength: 60 });

  test("truncation keeps the beginning of the text and the special tokens, whatever the length", async () => {
    for (const name of ["bert", "roberta", "xlm-roberta", "mpnet"]) {
      const tokenizer = await Tokenizer.load(join(fixtures, name));
      fc.assert(
        fc.property(text, fc.integer({ min: 3, max: 40 }), (given, maxLength) => {
          const [whole] = tokenizer.encode([given], { maxLength: 100_000 });
          const [cut] = tokenizer.encode([given], { maxLength });
          expect(cut!.length).toBe(Math.min(whole!.length, maxLength));
          expect([...cut!.subarray(0, -1)]).toEqual([...whole!.subarray(0, cut!.length - 1)]);
          expect(cut!.at(-1)).toBe(whole!.at(-1));
          for (const id of cut!) expect(id >= 0 && id < tokenizer.vocabularySize).toBe(true);
        }),
      );
    }
  });

  test("the ids of a text do not depend on the texts before it", async () => {
    const tokenizer = await Tokenizer.load(join(fixtures, "xlm-roberta"));
    const options = { maxLength: 64 };
    await fc.assert(
      fc.asyncProperty(fc.array(text, { maxLength: 5 }), async (given) => {
        const fresh = await Promise.all(
          given.map(async (one) => (await Tokenizer.load(join(fixtures, "xlm-roberta"))).encode([one], options)[0]),
        );
        expect(tokenizer.encode(given, options)).toEqual(fresh);
      }),
      { numRuns: 20 },
    );
  });

  test("half a surrogate pair counts as U+FFFD", async () => {
    const tokenizer = await Tokenizer.load(join(fixtures, "roberta"));
    const [half, replaced] = tokenizer.encode(["a\ud83db", "a\ufffdb"], { maxLength: 64 });
    expect(half).toEqual(replaced);
  });

  test("no text gives no ids", async () => {
    const tokenizer = await Tokenizer.load(join(fixtures, "bert"));
    expect(tokenizer.encode([], { maxLength: 8 })).toEqual([]);
  });
});

describe("refused", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "gradbank-tokenizer-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each([2, 0, -1, 3.5, Number.NaN])("maxLength %d", async (maxLength) => {
    const tokenizer = await Tokenizer.load(join(fixtures, "bert"));
    expect(() => tokenizer.encode(["text"], { maxLength })).toThrow(
      expect.objectContaining({
        code: "invalid-option",
        facts: { option: "maxLength", given: maxLength, specialTokens: 2 },
      }),
    );
  });

  test("a text that is none", async () => {
    const tokenizer = await Tokenizer.load(join(fixtures, "bert"));
    expect(() => tokenizer.encode(["text", null as unknown as string], { maxLength: 8 })).toThrow(/Text 1 is null/);
  });

  test("a folder without tokenizer.json", async () => {
    await expect(Tokenizer.load(folder)).rejects.toMatchObject({
      code: "missing-file",
      facts: { file: "tokenizer.json" },
    });
  });

  test.each([
    ["no vocabulary", { model: { type: "BPE" } }, /no vocabulary/],
    ["an unknown normalizer", { normalizer: { type: "Nmt" } }, /normalizer .*Nmt.*supported are/],
    ["an unknown pre-tokenizer", { pre_tokenizer: { type: "Digits" } }, /pre-tokenizer .*Digits.*supported are/],
    [
      "an unknown model",
      { model: { type: "WordLevel", vocab: { a: 0 } } },
      /type "WordLevel"; supported are WordPiece, BPE/,
    ],
    ["a vocabulary that is none", { model: { type: "Unigram", vocab: 7 } }, /cannot be used as a tokenizer/],
    [
      "a cut character map",
      { normalizer: { type: "Precompiled", precompiled_charsmap: "AAAAAQ==" } },
      /character map of 4 bytes/,
    ],
  ])("%s", async (_, changes, message) => {
    cpSync(join(fixtures, "plain"), folder, { recursive: true });
    const original = JSON.parse(readFileSync(join(folder, "tokenizer.json"), "utf8")) as object;
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify({ ...original, ...changes }));
    const loading = Tokenizer.load(folder);
    await expect(loading).rejects.toMatchObject({ code: "unsupported-tokenizer" });
    await expect(loading).rejects.toThrow(message);
  });
});
