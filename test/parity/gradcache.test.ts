import { Reference } from "@gradbank/bridge";
import { CachedMultipleNegativesRankingLoss, MultipleNegativesRankingLoss, SentenceEncoder } from "@gradbank/core";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectClose } from "../support/expect-close.ts";
import { sampleTexts, smallModel } from "../support/small-models.ts";

let encoder: SentenceEncoder;
beforeAll(async () => {
  const reference = await Reference.start({ threads: 1 });
  encoder = await SentenceEncoder.load(await smallModel(reference, "bert"), { threads: 1 });
  await reference.close();
});
afterAll(() => encoder?.release());

describe("GradCache equals the direct loss", () => {
  it("for any mini-batch size, number of rows and columns, with dropout", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          rows: fc.integer({ min: 1, max: 9 }),
          columns: fc.integer({ min: 2, max: 4 }),
          miniBatchSize: fc.integer({ min: 1, max: 10 }),
          miniBatchNumTokens: fc.option(fc.integer({ min: 1, max: 80 }), { nil: undefined }),
          dropout: fc.option(fc.record({ seed: fc.nat(), step: fc.nat(1000) }), { nil: undefined }),
          shift: fc.nat(15),
        }),
        async ({ rows, columns, miniBatchSize, miniBatchNumTokens, dropout, shift }) => {
          const batch = {
            columns: Array.from({ length: columns }, (_, column) =>
              encoder.tokenize(
                Array.from({ length: rows }, (__, row) => sampleTexts[(row * columns + column + shift) % 16]!),
              ),
            ),
          };
          encoder.parameters.zeroGradients();
          const direct = await new MultipleNegativesRankingLoss().forwardBackward(encoder, batch, { dropout });
          const expected = encoder.parameters.gradients.slice();

          const [first, replayed]: Float32Array[][] = [[], []];
          encoder.parameters.zeroGradients();
          const loss = new CachedMultipleNegativesRankingLoss({
            miniBatchSize,
            ...(miniBatchNumTokens === undefined ? {} : { miniBatchNumTokens }),
          });
          const cached = await loss.forwardBackward(encoder, batch, {
            dropout,
            observer: {
              onEmbeddings: (_, data) => void first!.push(data.slice()),
              onReplayedEmbeddings: (_, data) => void replayed!.push(data.slice()),
            },
          });
          // A logit is as exact as half a unit in the last place of the scale, 20; a few roundings deep.
          expectClose([cached], [direct], 4 * 2 ** -24 * 20 * Math.max(1, direct), "loss");
          const scale = Math.sqrt(expected.reduce((sum, value) => sum + value * value, 0) / expected.length);
          expectClose(encoder.parameters.gradients, expected, 1e-6 + 1e-4 * scale, "gradients");
          // Bit by bit: the gradients belong to the embeddings that the loss was computed from.
          expect(replayed).toEqual(first);
        },
      ),
      { numRuns: 40 },
    );
  });
});
