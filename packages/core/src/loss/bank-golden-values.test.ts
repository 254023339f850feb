import { add, Graph, gradients, multiply, reduceSum, type Value } from "@gradbank/graph";
import { describe, expect, it } from "vitest";
import { EmbeddingBank } from "../bank/embedding-bank.ts";
import { EncoderPrograms } from "../encoder/encoder-programs.ts";
import { Parameters } from "../encoder/parameters.ts";
import { createOnnxRuntime } from "../runtime/onnx-runtime.ts";
import { int32Tensor } from "../runtime/tensor.ts";
import { BankReader } from "./bank-reader.ts";
import { sampleNumbers } from "./candidates.ts";
import { ChunkedRankingLoss } from "./chunked-ranking-loss.ts";
import { buildPartitions, buildRankingRows, type Candidates, similarityVectors } from "./ranking-graph.ts";
import { resolveRankingOptions } from "./ranking-options.ts";

const [rows, cachedRows, dimension] = [4, 6, 5];
const options = resolveRankingOptions({});

/** Rows of sin(1 + offset + 7 i + 3 k). */
function matrix(offset: number, count: number): Float64Array {
  return Float64Array.from({ length: count * dimension }, (_, index) =>
    Math.sin(1 + offset + 7 * Math.floor(index / dimension) + 3 * (index % dimension)),
  );
}

interface Golden {
  readonly name: string;
  readonly columns: number;
  readonly cacheQueries: boolean;
  readonly loss: number;
  /** First element of the gradients of queries and positives. */
  readonly first: readonly [number, number];
  /** Norm of the gradient of each column. */
  readonly norms: readonly number[];
}

/** Computed in float64 by pull request 3612's loss on these matrices, and for documents only by its formula. */
const goldenValues: readonly Golden[] = [
  {
    name: "pairs",
    columns: 2,
    cacheQueries: true,
    loss: 2.4341565751124685,
    first: [-0.509962694547, 0.203425540113],
    norms: [1.014688715133, 1.926467593875],
  },
  {
    name: "triplets",
    columns: 3,
    cacheQueries: true,
    loss: 3.022801987323705,
    first: [-0.472936699896, 0.204784508921],
    norms: [1.025257026702, 1.946885564229, 0.14828112752],
  },
  {
    name: "cached documents only, pairs",
    columns: 2,
    cacheQueries: false,
    loss: 2.32190333015423,
    first: [-1.274906736368, 0.50874643359],
    norms: [2.536721787833, 4.813368492778],
  },
  {
    name: "cached documents only, triplets",
    columns: 3,
    cacheQueries: false,
    loss: 3.0769814423023485,
    first: [-1.18234174974, 0.512057110567],
    norms: [2.563142566754, 4.867113380171, 0.156611783983],
  },
];

describe("with a bank, the loss's formula in double precision has the golden values", () => {
  for (const golden of goldenValues)
    it(golden.name, async () => {
      const { loss, gradients } = await computeInDoublePrecision(golden);
      expectClose(loss, golden.loss, 1e-12);
      golden.first.forEach((value, column) => {
        expectClose(gradients[column]![0]!, value, 1e-10);
      });
      golden.norms.forEach((value, column) => {
        expectClose(Math.hypot(...gradients[column]!), value, 1e-10);
      });
    });
});

describe("with a bank, the loss stage in single precision and in chunks of rows has the golden values", () => {
  // The loss stage only compiles through the encoder's programs: it needs no weights.
  const programs = new EncoderPrograms(
    createOnnxRuntime({ threads: 1 }),
    { parameters: new Parameters([]) } as unknown as EncoderPrograms["modules"],
    0,
    1,
  );
  for (const golden of goldenValues)
    for (const [chunk, capacity] of [
      [4, cachedRows],
      [3, cachedRows],
      [1, 100],
    ] as const)
      it(`${golden.name}, ${chunk} rows at a time, capacity ${capacity}`, async () => {
        const bank = new EmbeddingBank({ capacity, cacheQueries: golden.cacheQueries });
        const columns = Array.from({ length: golden.columns }, (_, column) => column);
        bank.push({
          rows: cachedRows,
          embeddings: columns.map((column) => Float32Array.from(cachedVectors(column))),
          keys: columns.map((column) => textKeys(1000 + 100 * column, cachedRows)),
        });
        const view = await new BankReader(bank, options).view(
          programs,
          columns.map((column) => textKeys(100 * column, rows)),
          dimension,
        );
        const { loss, gradients } = await new ChunkedRankingLoss(programs, options, dimension).compute(
          columns.map((column) => Float32Array.from(matrix(100 * column, rows))),
          rows,
          { chunkSize: chunk, withGradients: true, bank: view },
        );
        expectClose(loss, golden.loss, 1e-6);
        // A probability is as exact as its logit: half a unit in the last place of `scale`, a few roundings deep.
        const rounding = 4 * 2 ** -24 * options.scale;
        golden.norms.forEach((norm, column) => {
          expectClose(Math.hypot(...gradients[column]!), norm, rounding);
          const first = golden.first[column];
          if (first !== undefined)
            expect(Math.abs(gradients[column]![0]! - first)).toBeLessThanOrEqual(rounding * norm);
        });
      });
});

function textKeys(first: number, count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, row) => first + row);
}

/** A column of the bank: offsets 1000, 1100, 1200, each row of length 1. */
function cachedVectors(column: number): Float64Array {
  const values = matrix(1000 + 100 * column, cachedRows);
  for (let row = 0; row < cachedRows; row++) {
    const vector = values.subarray(row * dimension, (row + 1) * dimension);
    const length = Math.hypot(...vector);
    for (let index = 0; index < dimension; index++) vector[index]! /= length;
  }
  return values;
}

async function computeInDoublePrecision(golden: Golden): Promise<{ loss: number; gradients: Float64Array[] }> {
  const graph = new Graph("golden_bank");
  const columns = Array.from({ length: golden.columns }, (_, column) => column);
  const embeddings = columns.map((column) => graph.input(`column${column}`, "float64", ["rows", dimension]));
  const candidates = (vectors: readonly Value[], samples: Value): Candidates => {
    const [queries, ...documents] = vectors.map((value) => ({ vectors: value, samples }));
    return { queries: queries!, documents };
  };
  const vectors = embeddings.map((value) => similarityVectors(options, value));
  const samples = graph.input("samples", "int32", ["rows"]);
  const cachedSamples = graph.input("cached_samples", "int32", ["cached"]);
  const cachedInputs = columns.map((column) => graph.input(`cached${column}`, "float64", ["cached", dimension]));
  const [batch, cached] = [candidates(vectors, samples), candidates(cachedInputs, cachedSamples)];
  const own = buildRankingRows(options, { anchors: vectors[0]!, positives: vectors[1]!, samples }, [batch, cached]);
  let loss = reduceSum(own.losses);
  if (golden.cacheQueries) {
    const asRows = { anchors: cachedInputs[0]!, positives: cachedInputs[1]!, samples: cachedSamples };
    const knownPartitions = buildPartitions(options, asRows, cached);
    loss = add(loss, reduceSum(buildRankingRows(options, { ...asRows, knownPartitions }, [batch]).losses));
  }
  loss = multiply(loss, 1 / (rows + (golden.cacheQueries ? cachedRows : 0)));
  const results = gradients([{ of: loss }], embeddings);
  const program = await createOnnxRuntime({ threads: 1 }).compile(graph, {
    loss,
    ...Object.fromEntries(results.map((value, column) => [`gradient${column}`, value])),
  });
  const float64 = (data: Float64Array) => ({
    dataType: "float64" as const,
    shape: [data.length / dimension, dimension],
    data,
  });
  const outputs = await program.run({
    samples: int32Tensor(sampleNumbers(cachedRows, rows), [rows]),
    cached_samples: int32Tensor(sampleNumbers(0, cachedRows), [cachedRows]),
    ...Object.fromEntries(columns.map((column) => [`column${column}`, float64(matrix(100 * column, rows))])),
    ...Object.fromEntries(columns.map((column) => [`cached${column}`, float64(cachedVectors(column))])),
  });
  await program.release();
  return {
    loss: Number(outputs.loss!.data[0]),
    gradients: columns.map((column) => outputs[`gradient${column}`]!.data as Float64Array),
  };
}

function expectClose(given: number, expected: number, tolerance: number): void {
  expect(Math.abs(given / expected - 1), `${given} instead of ${expected}`).toBeLessThanOrEqual(tolerance);
}
