import { type ContAccumOptions, Reference, type ReferenceBank } from "@gradbank/bridge";
import { EmbeddingBank, type EmbeddingBankOptions, type RankingDirection } from "@gradbank/core";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EncoderPrograms } from "../../packages/core/src/encoder/encoder-programs.ts";
import { Parameters } from "../../packages/core/src/encoder/parameters.ts";
import { BankReader } from "../../packages/core/src/loss/bank-reader.ts";
import { ChunkedRankingLoss } from "../../packages/core/src/loss/chunked-ranking-loss.ts";
import { type RankingLossOptions, resolveRankingOptions } from "../../packages/core/src/loss/ranking-options.ts";
import { createOnnxRuntime } from "../../packages/core/src/runtime/onnx-runtime.ts";
import { bankContents } from "./bank-contents.ts";
import { compareWithFormula } from "./formula-comparison.ts";

let reference: Reference;
beforeAll(async () => {
  reference = await Reference.start({ threads: 1 });
});
afterAll(() => reference?.close());

const runtime = createOnnxRuntime({ threads: 1 });

/** One batch, and what happens to the bank afterwards. */
interface Turn {
  readonly rows: number;
  /** `restore`: from its own state; `rewind`: from its state before the batch; `move`: into another bank. */
  readonly afterwards: "optimizer-step" | "reset" | "restore" | "rewind" | "move" | "nothing";
}

interface Scenario {
  readonly columns: number;
  readonly dimension: number;
  readonly chunkSize: number;
  readonly loss: RankingLossOptions;
  readonly bank: EmbeddingBankOptions;
  /** Different texts: the fewer, the more duplicates. */
  readonly vocabulary: number;
  readonly seed: number;
  readonly turns: readonly Turn[];
}

const symmetric: readonly RankingDirection[] = ["query_to_doc", "doc_to_query"];
const directions = fc.constantFrom<Pick<RankingLossOptions, "directions" | "partitionMode">>(
  {},
  { directions: symmetric, partitionMode: "per_direction" },
  { directions: symmetric },
  { directions: ["query_to_doc", "query_to_query"] },
  { directions: ["doc_to_doc", "query_to_doc"] },
  { directions: ["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"] },
);
const similarity = fc.constantFrom<Pick<RankingLossOptions, "similarityFunction" | "scale">>(
  { scale: 20 },
  { scale: 5 },
  { similarityFunction: "dot_score", scale: 1 },
);
const hardness = fc.option(
  fc.record({
    hardnessMode: fc.constantFrom("in_batch_negatives" as const, "hard_negatives" as const, "all_negatives" as const),
    hardnessStrength: fc.constantFrom(2, 9),
  }),
  { nil: {} },
);

function scenarios(capacity: fc.Arbitrary<number>, mostRows: number, turns: number): fc.Arbitrary<Scenario> {
  const bank = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        capacity,
        cacheQueries: fc.boolean(),
        rowWeighting: fc.constantFrom("all" as const, "current" as const),
        pushAt: fc.constantFrom("forward" as const, "optimizerStep" as const),
        resetAtOptimizerStep: fc.boolean().map((isOne) => isOne && mostRows < 10),
        maskDuplicates: fc.constantFrom(true, true, true, false),
        warmupSteps: fc.constantFrom(0, 0, 1),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        capacity: capacity.map((rows) => Math.ceil(rows / mostRows)),
        compatibility: fc.constant("pr-3612" as const),
      }),
    },
  );
  return fc.record({
    columns: fc.constantFrom(2, 3, 5),
    dimension: fc.integer({ min: 2, max: 9 }),
    chunkSize: fc.integer({ min: 1, max: mostRows + 2 }),
    loss: fc.tuple(directions, similarity, hardness).map((parts) => Object.assign({}, ...parts) as RankingLossOptions),
    bank,
    vocabulary: fc.constantFrom(4 * mostRows, 20 * mostRows),
    seed: fc.nat(),
    turns: fc
      .array(
        fc.record({
          rows: fc.integer({ min: Math.ceil(mostRows / 4), max: mostRows }),
          afterwards: fc.constantFrom<Turn["afterwards"]>(
            "optimizer-step",
            "optimizer-step",
            "nothing",
            "nothing",
            "restore",
            "rewind",
            "move",
            // A large bank fills only where it is seldom emptied.
            ...(mostRows < 10 ? (["reset"] as const) : []),
          ),
        }),
        { minLength: turns, maxLength: turns },
      )
      // The compatibility mode asks for the largest batch first; every bank is emptied once it may have filled.
      .map((all) => [
        { rows: mostRows, afterwards: "nothing" },
        ...all,
        { rows: mostRows, afterwards: "reset" },
        ...all.slice(0, 3),
      ]),
  });
}

describe("the loss with a bank is the written-out formula over what the bank holds", () => {
  it("small banks: partly filled, full, smaller than a batch, emptied, restored", async () => {
    const seen = await check(scenarios(fc.integer({ min: 1, max: 20 }), 6, 6), 20);
    expect(seen.full).toBeGreaterThan(20);
    expect(seen.partlyFilled).toBeGreaterThan(10);
    expect(seen.duplicates).toBeGreaterThan(40);
  });

  it("banks of several blocks of slots, over many pushes and around their end", async () => {
    const seen = await check(scenarios(fc.integer({ min: 130, max: 290 }), 56, 11), 10);
    expect(seen.full).toBeGreaterThan(6);
    expect(seen.largest).toBeGreaterThan(200);
    expect(seen.duplicates).toBeGreaterThan(200);
  });
});

/** What the steps of a property came across: a bank that is never full would prove little. */
interface Coverage {
  full: number;
  partlyFilled: number;
  duplicates: number;
  largest: number;
}

async function check(scenario: fc.Arbitrary<Scenario>, numRuns: number): Promise<Coverage> {
  const seen: Coverage = { full: 0, partlyFilled: 0, duplicates: 0, largest: 0 };
  await fc.assert(
    fc.asyncProperty(scenario, (given) => play(given, seen)),
    { numRuns, seed: 3612 },
  );
  return seen;
}

async function play(scenario: Scenario, seen: Coverage): Promise<void> {
  const { columns, dimension, chunkSize, turns } = scenario;
  const options = resolveRankingOptions(scenario.loss);
  // The loss stage only compiles through the encoder's programs: it needs no weights.
  const modules = { parameters: new Parameters([]) } as unknown as EncoderPrograms["modules"];
  const programs = new EncoderPrograms(runtime, modules, 0, 1);
  const stage = new ChunkedRankingLoss(programs, options, dimension);
  const random = randomNumbers(scenario.seed);
  let bank = new EmbeddingBank(scenario.bank);
  let reader = new BankReader(bank, options);
  for (const { rows, afterwards } of turns) {
    const embeddings = Array.from({ length: columns }, () =>
      Float32Array.from({ length: rows * dimension }, () => 2 * random() - 1),
    );
    const keys = embeddings.map(() =>
      Float64Array.from({ length: rows }, () => Math.floor(random() * scenario.vocabulary)),
    );
    const view = await reader.view(programs, keys, dimension);
    const before = view && bankContents(bank);
    const ours = await stage.compute(embeddings, rows, { chunkSize, withGradients: true, bank: view });
    const contents: ReferenceBank | undefined = before && {
      columns: before.columns,
      ...(bank.maskDuplicates ? { texts: { batch: keys, bank: before.keys } } : {}),
    };
    await compareWithFormula({
      reference,
      embeddings,
      dimension,
      bank: contents,
      options: bankedOptions(scenario),
      ours,
    });
    expect((await stage.compute(embeddings, rows, { chunkSize, withGradients: false, bank: view })).loss).toBe(
      ours.loss,
    );
    if (view && before) {
      const masked = bank.maskDuplicates ? countDuplicates(keys, before.keys) : 0;
      expect(view.maskedDuplicates).toBe(masked);
      seen.duplicates += masked;
      seen.largest = Math.max(seen.largest, bank.rows);
      if (bank.fill === bank.slots) seen.full++;
      else seen.partlyFilled++;
    }

    const state = bank.save();
    bank.push({ rows, embeddings: ours.vectors, keys });
    if (afterwards === "optimizer-step") bank.onOptimizerStep();
    if (afterwards === "reset") bank.reset();
    if (afterwards === "restore") bank.restore(bank.save());
    if (afterwards === "rewind") bank.restore(state);
    if (afterwards === "move") {
      const last = bank.save();
      bank = new EmbeddingBank(scenario.bank);
      bank.restore(last);
      reader = new BankReader(bank, options);
    }
  }
  await programs.release();
}

function bankedOptions({ loss, bank }: Scenario): ContAccumOptions {
  const { similarityFunction = "cos_sim", directions: given = ["query_to_doc"], ...others } = loss;
  return {
    ...others,
    directions: given,
    similarityFct: similarityFunction,
    cacheQueries: bank.cacheQueries ?? true,
    rowWeighting: bank.rowWeighting ?? "all",
  };
}

/** Pairs of a row of the batch and a cached document that has the text of the row's anchor or positive. */
function countDuplicates(batch: readonly Float64Array[], cached: readonly Float64Array[]): number {
  let count = 0;
  for (const row of batch[0]!.keys())
    for (const column of cached.slice(1))
      for (const key of column) if (key === batch[0]![row] || key === batch[1]![row]) count++;
  return count;
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}
