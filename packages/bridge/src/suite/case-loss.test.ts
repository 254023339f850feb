import { expect, it } from "vitest";
import { createCaseLoss, fittingReference } from "./case-loss.ts";
import type { CaseLoss } from "./resolved-case.ts";
import { readSuite, shippedSuites } from "./suite-file.ts";

const usual: CaseLoss = {
  class: "CachedMultipleNegativesRankingLoss",
  scale: 5,
  similarityFunction: "dot_score",
  directions: ["query_to_doc", "doc_to_doc"],
  partitionMode: "joint",
  hardnessMode: "all_negatives",
  hardnessStrength: 0.5,
  miniBatchSize: 3,
  miniBatchNumTokens: 40,
  bank: null,
};

it("makes the loss with all its options", () => {
  const ranking = {
    scale: 5,
    similarity_fct: "dot_score",
    directions: ["query_to_doc", "doc_to_doc"],
    partition_mode: "joint",
    hardness_mode: "all_negatives",
    hardness_strength: 0.5,
  };
  const cached = createCaseLoss({ ...usual, bank: { capacity: 7, warmupSteps: 2 } });
  expect(cached.name).toBe("CachedMultipleNegativesRankingLoss");
  expect(cached.configuration).toMatchObject({ ...ranking, mini_batch_size: 3, mini_batch_num_tokens: 40 });
  expect(cached.banks[0]!.options).toMatchObject({ capacity: 7, warmupSteps: 2, pushAt: "forward" });
  const direct = createCaseLoss({ ...usual, class: "MultipleNegativesRankingLoss" });
  expect(direct.name).toBe("MultipleNegativesRankingLoss");
  expect(direct.configuration).toMatchObject(ranking);
  expect(direct.banks).toEqual([]);
  expect(createCaseLoss({ ...usual, miniBatchNumTokens: null }).configuration.mini_batch_num_tokens).toBeNull();
});

it("gives each case its own bank", () => {
  const loss = { ...usual, bank: { capacity: 2 } };
  expect(createCaseLoss(loss).banks[0]).not.toBe(createCaseLoss(loss).banks[0]);
});

it("gives Python the options that ours has, for every shipped case", async () => {
  for (const { path } of await shippedSuites())
    for (const { name, loss } of (await readSuite(path)).cases) {
      const ours = createCaseLoss(loss);
      const { class: theirs, options = {} } = fittingReference(loss);
      // Both sides name their options as sentence-transformers does.
      for (const [option, value] of Object.entries(ours.configuration))
        if (option in options) expect(options[option], `${name}: ${option}`).toEqual(value);
      if (!loss.bank) expect(theirs, name).toBe(ours.name);
      expect(Object.keys(options), name).toEqual(
        expect.arrayContaining(
          theirs === "PullRequest3612"
            ? ["scale", "similarity_fct", "cache_size"]
            : ["scale", "directions", "partition_mode"],
        ),
      );
    }
});
