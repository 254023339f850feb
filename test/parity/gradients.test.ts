import {
  compareStep,
  type RandomArchitecture,
  Reference,
  type ReferenceLossOptions,
  type ReferenceModel,
} from "@gradbank/bridge";
import {
  CachedMultipleNegativesRankingLoss,
  type Loss,
  MultipleNegativesRankingLoss,
  SentenceEncoder,
} from "@gradbank/core";
import { afterAll, beforeAll, describe, it } from "vitest";
import { expectEqualStages } from "../support/gradient-comparison.ts";
import { sampleColumns, smallModel } from "../support/small-models.ts";

let reference: Reference;
beforeAll(async () => {
  reference = await Reference.start({ threads: 1 });
});
afterAll(() => reference?.close());

interface Sides {
  readonly encoder: SentenceEncoder;
  readonly model: ReferenceModel;
}

const open: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of open) await close();
});

/**
 * Python computes in float64: what is compared is then our rounding alone. In float32, torch's own rounding on
 * all-MiniLM-L6-v2 is larger than ours, and the two together can exceed the tolerance.
 */
async function load(folder: string): Promise<Sides> {
  const encoder = await SentenceEncoder.load(folder, { threads: 1 });
  const model = await reference.loadModel(folder, { dtype: "float64" });
  open.push(async () => encoder.release());
  return { encoder, model };
}

/** One step on both sides, with the same token ids and, with dropout, the same masks; every stage must be equal. */
async function expectSameStep(
  { encoder, model }: Sides,
  loss: Loss,
  options: ReferenceLossOptions,
  texts: readonly (readonly string[])[],
  { dropout = false, gradientScale = 1 } = {},
): Promise<void> {
  const comparison = await compareStep({
    encoder,
    reference,
    model,
    loss,
    referenceLossOptions: options,
    columns: texts.map((column) => encoder.tokenize(column)),
    texts,
    gradientScale,
    ...(dropout ? { dropout: { seed: 11, step: 5 } } : {}),
  });
  expectEqualStages(comparison, encoder, {
    columns: texts.length,
    isReplayed: loss instanceof CachedMultipleNegativesRankingLoss,
  });
}

const architectures: readonly RandomArchitecture[] = ["bert", "roberta", "xlm-roberta", "mpnet", "distilbert"];

describe.each(architectures)("%s", (architecture) => {
  let sides: Sides;
  beforeAll(async () => {
    sides = await load(await smallModel(reference, architecture));
  });

  describe.each([
    ["pairs", 2],
    ["triplets", 3],
  ])("%s", (_, columns) => {
    const texts = sampleColumns(7, columns);
    it.each([false, true])("MultipleNegativesRankingLoss, dropout %s", async (dropout) => {
      await expectSameStep(sides, new MultipleNegativesRankingLoss(), {}, texts, { dropout });
    });
    it.each([false, true])("CachedMultipleNegativesRankingLoss, dropout %s", async (dropout) => {
      const loss = new CachedMultipleNegativesRankingLoss({ miniBatchSize: 3 });
      await expectSameStep(sides, loss, { miniBatchSize: 3 }, texts, { dropout });
    });
  });

  it("scales gradients for accumulation", async () => {
    await expectSameStep(sides, new MultipleNegativesRankingLoss(), {}, sampleColumns(4, 2), { gradientScale: 1 / 4 });
    const cached = new CachedMultipleNegativesRankingLoss({ miniBatchSize: 3 });
    await expectSameStep(sides, cached, { miniBatchSize: 3 }, sampleColumns(4, 2), { gradientScale: 1 / 4 });
  });
});

describe("poolings and modules", () => {
  it.each(["mean", "cls", "max", "weightedmean", "lasttoken"] as const)("%s", async (pooling) => {
    const sides = await load(await smallModel(reference, "bert", { pooling, normalize: true, layers: 1 }));
    await expectSameStep(sides, new MultipleNegativesRankingLoss(), {}, sampleColumns(6, 2));
  });
});

describe("loss options", () => {
  let sides: Sides;
  beforeAll(async () => {
    sides = await load(await smallModel(reference, "bert"));
  });
  it.each([
    [
      "dot_score",
      { scale: 0.05 },
      { similarityFunction: "dot_score" as const },
      { similarityFct: "dot_score" as const },
    ],
    [
      "symmetric, per_direction",
      { scale: 50, directions: ["query_to_doc", "doc_to_query"] as const, partitionMode: "per_direction" as const },
      {},
      {},
    ],
    [
      "four directions",
      { directions: ["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"] as const },
      {},
      {},
    ],
    ["in_batch_negatives", { hardnessMode: "in_batch_negatives" as const, hardnessStrength: 9 }, {}, {}],
    ["hard_negatives", { hardnessMode: "hard_negatives" as const, hardnessStrength: 5 }, {}, {}],
    ["all_negatives", { hardnessMode: "all_negatives" as const, hardnessStrength: 5 }, {}, {}],
  ])("%s", async (_, shared, own, theirs) => {
    const texts = sampleColumns(7, 4);
    await expectSameStep(
      sides,
      new MultipleNegativesRankingLoss({ ...shared, ...own }),
      { ...shared, ...theirs },
      texts,
    );
    await expectSameStep(
      sides,
      new CachedMultipleNegativesRankingLoss({ ...shared, ...own, miniBatchSize: 2 }),
      { ...shared, ...theirs, miniBatchSize: 2 },
      texts,
      { dropout: true },
    );
  });

  it("mini-batches by tokens", async () => {
    const loss = new CachedMultipleNegativesRankingLoss({ miniBatchNumTokens: 20 });
    await expectSameStep(sides, loss, { miniBatchNumTokens: 20 }, sampleColumns(7, 2), { dropout: true });
  });
});

describe("all-MiniLM-L6-v2", () => {
  it("agrees on pairs and triplets of ragged lengths, dropout off and on", async () => {
    const sides = await load(await reference.minilmFolder());
    await expectSameStep(sides, new MultipleNegativesRankingLoss(), {}, sampleColumns(8, 2));
    const cached = new CachedMultipleNegativesRankingLoss({ miniBatchSize: 3 });
    await expectSameStep(sides, cached, { miniBatchSize: 3 }, sampleColumns(8, 3), { dropout: true });
  });
});
