import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { EmbeddingBank, type EmbeddingBankOptions } from "../bank/embedding-bank.ts";
import { EncoderPrograms } from "../encoder/encoder-programs.ts";
import { Parameters } from "../encoder/parameters.ts";
import { SentenceEncoder } from "../encoder/sentence-encoder.ts";
import { createOnnxRuntime } from "../runtime/onnx-runtime.ts";
import { BankReader } from "./bank-reader.ts";
import { CachedMultipleNegativesRankingLoss } from "./cached-multiple-negatives-ranking-loss.ts";
import { ChunkedRankingLoss } from "./chunked-ranking-loss.ts";
import { MultipleNegativesRankingLoss } from "./multiple-negatives-ranking-loss.ts";
import { type RankingDirection, type RankingLossOptions, resolveRankingOptions } from "./ranking-options.ts";
import { computeRankingScores, type RankingScores } from "./ranking-scores.ts";

/** One sample: its texts' keys and vectors, one each a column, in double precision. */
interface Sample {
  readonly keys: readonly number[];
  readonly vectors: readonly (readonly number[])[];
}

interface Turn {
  readonly rows: number;
  readonly afterwards: "optimizer-step" | "replace-rows" | "nothing";
}

interface Scenario {
  readonly columns: number;
  readonly dimension: number;
  readonly chunkSize: number;
  readonly loss: RankingLossOptions;
  readonly bank: EmbeddingBankOptions | undefined;
  readonly seed: number;
  readonly turns: readonly Turn[];
}

const mostRows = 5;
/** Different texts: few, so that there are duplicates. */
const vocabulary = 30;

const directions = fc.constantFrom<Pick<RankingLossOptions, "directions" | "partitionMode">>(
  {},
  { directions: ["doc_to_query", "query_to_doc"], partitionMode: "per_direction" },
  { directions: ["doc_to_query", "query_to_doc"] },
  { directions: ["doc_to_doc", "query_to_query", "query_to_doc"] },
  { directions: ["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"] },
);
const similarity = fc.constantFrom<Pick<RankingLossOptions, "similarityFunction" | "scale">>(
  { scale: 20 },
  { similarityFunction: "dot_score", scale: 1 },
);
const hardness = fc.oneof(
  fc.constant({}),
  fc.record({
    hardnessMode: fc.constantFrom("in_batch_negatives" as const, "hard_negatives" as const, "all_negatives" as const),
    hardnessStrength: fc.constantFrom(2, 9),
  }),
);
const bank: fc.Arbitrary<EmbeddingBankOptions | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.record({ capacity: fc.integer({ min: 1, max: 3 }), compatibility: fc.constant("pr-3612" as const) }),
  ...[1, 2].map(() =>
    fc.record({
      capacity: fc.integer({ min: 1, max: 14 }),
      cacheQueries: fc.boolean(),
      rowWeighting: fc.constantFrom("all" as const, "current" as const),
      pushAt: fc.constantFrom("forward" as const, "optimizerStep" as const),
      maskDuplicates: fc.boolean(),
      warmupSteps: fc.constantFrom(0, 0, 1),
    }),
  ),
);
const scenarios: fc.Arbitrary<Scenario> = fc.record({
  columns: fc.integer({ min: 2, max: 4 }),
  dimension: fc.integer({ min: 2, max: 6 }),
  chunkSize: fc.integer({ min: 1, max: mostRows }),
  loss: fc.tuple(directions, similarity, hardness).map((parts) => Object.assign({}, ...parts) as RankingLossOptions),
  bank,
  seed: fc.nat(),
  turns: fc
    .array(
      fc.record({
        rows: fc.integer({ min: 1, max: mostRows }),
        afterwards: fc.constantFrom<Turn["afterwards"]>("optimizer-step", "replace-rows", "nothing"),
      }),
      { minLength: 4, maxLength: 6 },
    )
    // The compatibility mode asks for the largest batch first.
    .map((turns) => [{ rows: mostRows, afterwards: "optimizer-step" }, ...turns]),
});

describe("the scores of a ranking loss", () => {
  it("are the logits written out, in sentence-transformers' order, and give the loss", async () => {
    const seen = { masked: 0, gaps: 0, wrapped: 0, replaced: 0 };
    await fc.assert(
      fc.asyncProperty(scenarios, (scenario) => play(scenario, seen)),
      { numRuns: 60, seed: 5 },
    );
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(10);
  });
});

async function play(scenario: Scenario, seen: Record<"masked" | "gaps" | "wrapped" | "replaced", number>) {
  const { columns, dimension, chunkSize, turns } = scenario;
  const options = resolveRankingOptions(scenario.loss);
  // The loss stage only compiles through the encoder's programs: it needs no weights.
  const modules = { parameters: new Parameters([]) } as unknown as EncoderPrograms["modules"];
  const programs = new EncoderPrograms(createOnnxRuntime({ threads: 1 }), modules, 0, 1);
  const stage = new ChunkedRankingLoss(programs, options, dimension);
  const random = randomNumbers(scenario.seed);
  const bank = scenario.bank && new EmbeddingBank(scenario.bank);
  const reader = bank && new BankReader(bank, options);
  const list = new ListBank(scenario.bank);
  const normalize = options.similarityFunction === "cos_sim";
  const makeVector = () => {
    const vector = Array.from({ length: dimension }, () => Math.fround(2 * random() - 1));
    const length = Math.hypot(...vector);
    return { raw: vector, vector: normalize ? vector.map((value) => value / length) : vector };
  };

  for (const { rows, afterwards } of turns) {
    const drawn = Array.from({ length: rows }, () => Array.from({ length: columns }, makeVector));
    const batch = drawn.map((row): Sample => {
      return { vectors: row.map(({ vector }) => vector), keys: row.map(() => Math.floor(random() * vocabulary)) };
    });
    const embeddings = columnsOf(drawn, (row, column) => row[column]!.raw, columns);
    const keys = Array.from({ length: columns }, (_, column) =>
      Float64Array.from(batch, (sample) => sample.keys[column]!),
    );
    const view = await reader?.view(programs, keys, dimension);
    const { loss, vectors } = await stage.compute(embeddings, rows, { chunkSize, withGradients: false, bank: view });
    const scores = await computeRankingScores(programs, options, { vectors, rows, bank: view });

    const cached = list.readable;
    const expected = writtenOut(batch, cached, scenario.loss, {
      cacheQueries: bank?.cacheQueries ?? true,
      maskDuplicates: bank?.maskDuplicates ?? false,
    });
    // A similarity has some roundings of two normalisations and of a short sum behind it.
    const longest = Math.max(...[...batch, ...cached].flatMap(({ vectors }) => vectors.map((v) => Math.hypot(...v))));
    const tolerance = 12 * 2 ** -24 * (options.scale + options.hardnessStrength) * longest ** 2;
    expect(scores.parts.map(({ name }) => name)).toEqual(expected.map(({ name }) => name));
    scores.parts.forEach(({ rows: given, candidates, logits }, part) => {
      const matrix = expected[part]!.logits;
      expect([given, candidates]).toEqual([matrix.length, matrix[0]!.length]);
      expectClose(logits, matrix.flat(), tolerance);
    });
    const lossRows = rows + (bank?.cacheQueries ? cached.length : 0);
    expect([...scores.labels]).toEqual(Array.from({ length: lossRows }, (_, row) => row));
    const weight = 1 / (bank?.rowWeighting === "current" ? rows : lossRows);
    expectClose([lossOf(scores, weight)], [loss], lossRows * weight * tolerance + 12 * 2 ** -24 * Math.abs(loss));

    if (view && bank) {
      seen.masked += view.maskedDuplicates > 0 ? 1 : 0;
      seen.gaps += view.hasGaps ? 1 : 0;
      seen.wrapped += bank.slotsByAge()[0] !== 0 ? 1 : 0;
    }
    bank?.push({ rows, embeddings: vectors, keys });
    list.push(batch);
    if (afterwards === "optimizer-step") {
      bank?.onOptimizerStep();
      list.onOptimizerStep();
    }
    if (afterwards === "replace-rows" && bank && bank.rows > 0) {
      const vectors = list.rows.map(() => Array.from({ length: columns }, () => makeVector().vector));
      bank.replaceRows(columnsOf(vectors, (row, column) => row[column]!, columns));
      list.replaceRows(vectors);
      seen.replaced++;
    }
  }
  await programs.release();
}

/** The bank as a list of batches. */
class ListBank {
  readonly #options: EmbeddingBankOptions | undefined;
  #batches: Sample[][] = [];
  #staged: Sample[][] = [];
  #steps = 0;

  constructor(options: EmbeddingBankOptions | undefined) {
    this.#options = options;
  }

  get rows(): readonly Sample[] {
    return this.#batches.flat();
  }

  get readable(): readonly Sample[] {
    return this.#steps >= (this.#options?.warmupSteps ?? 0) ? this.rows : [];
  }

  push(batch: Sample[]): void {
    if (!this.#options) return;
    if (this.#options.pushAt === "optimizerStep") this.#staged.push(batch);
    else this.#enter(batch);
  }

  onOptimizerStep(): void {
    this.#steps++;
    for (const batch of this.#staged.splice(0)) this.#enter(batch);
  }

  replaceRows(vectors: readonly (readonly number[][])[]): void {
    let row = 0;
    this.#batches = this.#batches.map((batch) => batch.map(({ keys }) => ({ keys, vectors: vectors[row++]! })));
  }

  #enter(batch: Sample[]): void {
    const { capacity, compatibility } = this.#options!;
    if (compatibility) this.#batches = [...this.#batches, batch].slice(-capacity);
    else this.#batches = [[...this.rows, ...batch].slice(-capacity)];
  }
}

/** Every logit from its definition, in double precision: rows and candidates are the batch followed by the bank. */
function writtenOut(
  batch: readonly Sample[],
  cached: readonly Sample[],
  options: RankingLossOptions,
  bank: { cacheQueries: boolean; maskDuplicates: boolean },
): { name: string; logits: number[][] }[] {
  const { scale = 20, hardnessMode = null, hardnessStrength = 0, partitionMode = "joint" } = options;
  const samples = [...batch, ...cached];
  const columns = batch[0]!.vectors.length;
  const order: RankingDirection[] = ["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"];
  const chosen = order.filter((direction) => (options.directions ?? ["query_to_doc"]).includes(direction));
  const logit = (direction: RankingDirection, i: number, column: number, j: number): number => {
    const [row, candidate] = [samples[i]!, samples[j]!];
    const oneIsCached = i >= batch.length || j >= batch.length;
    const repeats = [row.keys[0], row.keys[1]].includes(candidate.keys[column]);
    if (bank.maskDuplicates && oneIsCached && i !== j && repeats) return Number.NEGATIVE_INFINITY;
    if (i === j && (direction === "query_to_query" || direction === "doc_to_doc")) return Number.NEGATIVE_INFINITY;
    const own = row.vectors[direction.startsWith("query") ? 0 : 1]!;
    const similarity = own.reduce((sum, value, index) => sum + value * candidate.vectors[column]![index]!, 0);
    const isHard =
      direction === "query_to_doc" &&
      { in_batch_negatives: i !== j, hard_negatives: i === j && column > 1, all_negatives: i !== j || column > 1 }[
        hardnessMode ?? "in_batch_negatives"
      ];
    return similarity * scale + (isHard && hardnessMode ? hardnessStrength * similarity : 0);
  };
  const rows = (bank.cacheQueries ? samples : batch).map((_, i) => i);
  const matrices = chosen.map((direction) => {
    const candidateColumns = direction.endsWith("query") ? [0] : Array.from({ length: columns - 1 }, (_, c) => c + 1);
    return rows.map((i) => candidateColumns.flatMap((column) => samples.map((_, j) => logit(direction, i, column, j))));
  });
  if (partitionMode === "per_direction") return matrices.map((logits, index) => ({ name: chosen[index]!, logits }));
  return [{ name: "joint", logits: rows.map((i) => matrices.flatMap((matrix) => matrix[i]!)) }];
}

/** Weighted sum over rows of the mean over parts of log-sum-exp, minus the positive's logit. */
function lossOf({ parts, labels }: RankingScores, weight: number): number {
  let sum = 0;
  labels.forEach((label, row) => {
    for (const { candidates, logits } of parts) {
      const own = logits.subarray(row * candidates, (row + 1) * candidates);
      const greatest = Math.max(...own);
      sum += (greatest + Math.log(own.reduce((all, logit) => all + Math.exp(logit - greatest), 0))) / parts.length;
    }
    sum -= parts[0]!.logits[row * parts[0]!.candidates + label]!;
  });
  return sum * weight;
}

describe("an observer of a loss gets the scores that its softmax is taken of, before the bank takes the batch's rows", () => {
  const folder = join(import.meta.dirname, "../model-folder/__fixtures__/saved-by-6.2");
  let encoder: SentenceEncoder | undefined;
  afterAll(() => encoder?.release());

  it.each([
    ["MultipleNegativesRankingLoss", {}],
    ["MultipleNegativesRankingLoss", { compatibility: "pr-3612" as const }],
    ["CachedMultipleNegativesRankingLoss", {}],
    ["CachedMultipleNegativesRankingLoss", { compatibility: "pr-3612" as const }],
    ["CachedMultipleNegativesRankingLoss", undefined],
  ])("%s, bank %o", async (name, bankOptions) => {
    encoder ??= await SentenceEncoder.load(folder, { threads: 1 });
    const bank = bankOptions && new EmbeddingBank({ capacity: 3, ...bankOptions });
    const shared = { directions: ["query_to_doc", "doc_to_query"] as const, ...(bank ? { bank } : {}) };
    const loss =
      name === "MultipleNegativesRankingLoss"
        ? new MultipleNegativesRankingLoss(shared)
        : new CachedMultipleNegativesRankingLoss({ ...shared, miniBatchSize: 2 });
    for (const rows of [3, 3, 2, 3]) {
      const held = bank?.rows ?? 0;
      const columns = [0, 1, 2].map((column) =>
        Array.from({ length: rows }, (_, row) => Int32Array.of(2, 5 + 7 * row + 31 * column + held, 9 + row, 3)),
      );
      let scores: RankingScores | undefined;
      const observer = {
        onScores: (given: RankingScores) => {
          scores = given;
        },
      };
      const value = await loss.forwardBackward(encoder, { columns }, { observer });
      expect(scores!.parts).toMatchObject([{ name: "joint", rows: rows + held, candidates: 3 * (rows + held) }]);
      expectClose([lossOf(scores!, 1 / (rows + held))], [value], 20 * 12 * 2 ** -24);
    }
  });
});

function columnsOf<Row>(
  rows: readonly Row[],
  vector: (row: Row, column: number) => readonly number[],
  columns: number,
): Float32Array[] {
  return Array.from({ length: columns }, (_, column) => Float32Array.from(rows.flatMap((row) => vector(row, column))));
}

function expectClose(given: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(given.length).toBe(expected.length);
  for (let index = 0; index < expected.length; index++) {
    const [a, b] = [given[index]!, expected[index]!];
    if (a !== b && !(Math.abs(a - b) <= tolerance))
      expect.fail(`number ${index} is ${a} instead of ${b}, ± ${tolerance}`);
  }
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
