import { Reference } from "@gradbank/bridge";
import {
  CachedMultipleNegativesRankingLoss,
  type DropoutKey,
  EmbeddingBank,
  type EmbeddingBankOptions,
  MultipleNegativesRankingLoss,
  type RankingLossOptions,
  SentenceEncoder,
} from "@gradbank/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectClose } from "../support/expect-close.ts";
import { sampleTexts, smallModel } from "../support/small-models.ts";
import { bankContents } from "./bank-contents.ts";

let encoder: SentenceEncoder;
beforeAll(async () => {
  const reference = await Reference.start({ threads: 1 });
  encoder = await SentenceEncoder.load(await smallModel(reference, "bert"), { threads: 1 });
  await reference.close();
});
afterAll(() => encoder?.release());

/** Rows of the batches of a run: a short one in the middle. */
const sizes = [5, 5, 3, 5];

/** Texts of a batch; later batches repeat some of earlier ones. */
function batchTexts(step: number, rows: number, columns: number): string[][] {
  return Array.from({ length: columns }, (_, column) =>
    Array.from({ length: rows }, (__, row) => sampleTexts[(step * 6 + row + column * 5) % sampleTexts.length]!),
  );
}

const cases: readonly {
  readonly name: string;
  readonly columns: number;
  readonly bank: EmbeddingBankOptions;
  readonly options?: RankingLossOptions;
}[] = [
  { name: "pairs", columns: 2, bank: { capacity: 12 } },
  { name: "triplets", columns: 3, bank: { capacity: 4 } },
  {
    name: "triplets, cached documents only, four directions",
    columns: 3,
    bank: { capacity: 100, cacheQueries: false },
    options: { directions: ["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"] },
  },
  {
    name: "three negatives, per direction, batch's weighting, hardness",
    columns: 5,
    bank: { capacity: 8, rowWeighting: "current" },
    options: {
      directions: ["query_to_doc", "doc_to_query"],
      partitionMode: "per_direction",
      hardnessMode: "all_negatives",
      hardnessStrength: 4,
    },
  },
  {
    name: "triplets, whole batches",
    columns: 3,
    bank: { capacity: 2, compatibility: "pr-3612" },
  },
];

describe.each(cases)("$name", ({ columns, bank: bankOptions, options = {} }) => {
  it("both losses have the same gradients from the same bank", async () => {
    const [directBank, cachedBank] = [new EmbeddingBank(bankOptions), new EmbeddingBank(bankOptions)];
    const direct = new MultipleNegativesRankingLoss({ ...options, bank: directBank });
    const cached = new CachedMultipleNegativesRankingLoss({ ...options, bank: cachedBank, miniBatchSize: 3 });
    for (const [step, rows] of sizes.entries()) {
      const batch = { columns: batchTexts(step, rows, columns).map((column) => encoder.tokenize(column)) };
      const dropout: DropoutKey = { seed: 9, step };
      const results: { loss: number; gradients: Float32Array; masked: number | undefined }[] = [];
      for (const loss of [direct, cached]) {
        encoder.parameters.zeroGradients();
        let masked: number | undefined;
        const value = await loss.forwardBackward(encoder, batch, {
          dropout,
          observer: {
            onDiagnostics: ({ bank }) => {
              masked = bank?.maskedDuplicates;
            },
          },
        });
        loss.onOptimizerStep();
        results.push({ loss: value, gradients: encoder.parameters.gradients.slice(), masked });
      }
      const [expected, found] = results as [(typeof results)[0], (typeof results)[0]];
      expectClose([found.loss], [expected.loss], 1e-6 * Math.max(1, expected.loss), `loss of step ${step}`);
      const scale = Math.sqrt(
        expected.gradients.reduce((sum, value) => sum + value * value, 0) / expected.gradients.length,
      );
      expect(scale).toBeGreaterThan(1e-4);
      expectClose(found.gradients, expected.gradients, 1e-6 + 1e-4 * scale, `gradients of step ${step}`);
      expect(found.masked).toBe(expected.masked);
      bankContents(directBank).columns.forEach(({ data }, column) => {
        expectClose(bankContents(cachedBank).columns[column]!.data, data, 1e-6, `bank after step ${step}`);
      });
    }
    encoder.parameters.zeroGradients();
  });
});
