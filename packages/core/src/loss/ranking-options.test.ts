import { describe, expect, it, vi } from "vitest";
import { CachedMultipleNegativesRankingLoss } from "./cached-multiple-negatives-ranking-loss.ts";
import { MultipleNegativesRankingLoss } from "./multiple-negatives-ranking-loss.ts";
import { type RankingLossOptions, resolveRankingOptions } from "./ranking-options.ts";

describe("ranking options", () => {
  it("have sentence-transformers' defaults", () => {
    expect(resolveRankingOptions({})).toEqual({
      scale: 20,
      similarityFunction: "cos_sim",
      directions: ["query_to_doc"],
      partitionMode: "joint",
      hardnessMode: null,
      hardnessStrength: 0,
    });
    expect(resolveRankingOptions({ temperature: 0.02 }).scale).toBe(50);
  });

  it.each<[RankingLossOptions, RegExp]>([
    [{ scale: 0 }, /scale is 0: it must be a number greater than 0/],
    [{ scale: Number.NaN }, /scale is null: it must be a number greater than 0/],
    [{ temperature: -1 }, /temperature is -1: it must be a number greater than 0/],
    [{ scale: 20, temperature: 0.05 }, /temperature is 0\.05: it is the reciprocal of scale; give one of the two/],
    [{ directions: [] }, /directions is \[\]: at least one direction must be specified/],
    [{ directions: ["doc_to_query"] }, /"query_to_doc" is required, because it holds the positive pair/],
    [
      { directions: ["query_to_doc", "sideways" as "doc_to_doc"] },
      /must be one of query_to_doc, query_to_query, doc_to_query, doc_to_doc/,
    ],
    [{ directions: ["query_to_doc", "query_to_doc"] }, /each may stand once/],
    [{ partitionMode: "apart" as "joint" }, /partitionMode is "apart": it must be one of joint, per_direction/],
    [
      { partitionMode: "per_direction", directions: ["query_to_doc", "doc_to_doc"] },
      /with "doc_to_doc" it must be "joint", because that direction holds no positive pair/,
    ],
    [{ hardnessMode: "hard" as "hard_negatives" }, /hardnessMode is "hard": it must be one of in_batch_negatives/],
    [{ hardnessStrength: -1 }, /hardnessStrength is -1: it must be a number of at least 0/],
    [
      { similarityFunction: "euclid" as "cos_sim" },
      /similarityFunction is "euclid": it must be one of cos_sim, dot_score/,
    ],
  ])("%o is refused", (options, message) => {
    expect(() => new MultipleNegativesRankingLoss(options)).toThrow(message);
    expect(() => new CachedMultipleNegativesRankingLoss(options)).toThrow(message);
  });

  it("warn when hardness has a mode but no strength", () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
    resolveRankingOptions({ hardnessMode: "all_negatives" });
    expect(warn).toHaveBeenCalledWith(expect.stringContaining("hardnessStrength is 0"), {
      code: "GRADBANK_NO_HARDNESS",
    });
    warn.mockRestore();
  });

  it("refuse mini-batches of nothing", () => {
    expect(() => new CachedMultipleNegativesRankingLoss({ miniBatchSize: 0 })).toThrow(
      /miniBatchSize is 0: it must be a whole number of at least 1/,
    );
    expect(() => new CachedMultipleNegativesRankingLoss({ miniBatchNumTokens: -5 })).toThrow(
      /miniBatchNumTokens is -5/,
    );
  });
});
