import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mapWeightNames } from "./weight-names.ts";

const bare = [
  "embeddings.word_embeddings.weight",
  "embeddings.LayerNorm.weight",
  "encoder.layer.0.attention.self.query.bias",
  "pooler.dense.weight",
];

describe("mapWeightNames", () => {
  test("keeps the names of a bare encoder and leaves the position buffer out", () => {
    const mapping = mapWeightNames([...bare, "embeddings.position_ids"]);
    expect([...mapping]).toEqual(bare.map((name) => [name, name]));
  });

  test.each([
    "bert.",
    "roberta.",
    "mpnet.",
    "distilbert.",
    "auto_model.",
    "model.",
    "auto_model.bert.",
    "0.auto_model.",
  ])("strips %s and leaves heads out", (prefix) => {
    const mapping = mapWeightNames([
      ...bare.map((name) => prefix + name),
      "cls.predictions.bias",
      "lm_head.dense.weight",
    ]);
    expect([...mapping]).toEqual(bare.map((name) => [name, prefix + name]));
  });

  test("leaves heads out where there is no prefix", () => {
    expect([...mapWeightNames([...bare, "classifier.weight", "vocab_projector.bias"]).keys()]).toEqual(bare);
  });

  test("renames LayerNorm.gamma and .beta", () => {
    expect([...mapWeightNames(["bert.embeddings.LayerNorm.gamma", "bert.embeddings.LayerNorm.beta"])]).toEqual([
      ["embeddings.LayerNorm.weight", "bert.embeddings.LayerNorm.gamma"],
      ["embeddings.LayerNorm.bias", "bert.embeddings.LayerNorm.beta"],
    ]);
  });

  test("a prefix that only a few names carry is part of the name", () => {
    expect([...mapWeightNames([...bare, "model.norm.weight"]).keys()]).toEqual([...bare, "model.norm.weight"]);
  });

  test("maps to given names only, each at most once", () => {
    const part = fc.constantFrom(
      "bert",
      "model",
      "auto_model",
      "0",
      "cls",
      "a",
      "b",
      "LayerNorm",
      "gamma",
      "weight",
      "position_ids",
    );
    const names = fc.uniqueArray(fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join(".")));
    fc.assert(
      fc.property(names, (given) => {
        const originals = [...mapWeightNames(given).values()];
        expect(given).toEqual(expect.arrayContaining(originals));
        expect(new Set(originals).size).toBe(originals.length);
      }),
    );
  });
});
