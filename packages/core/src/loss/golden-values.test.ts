import { Graph, gradients, multiply, reduceSum } from "@gradbank/graph";
import { describe, expect, it } from "vitest";
import { EncoderPrograms } from "../encoder/encoder-programs.ts";
import { Parameters } from "../encoder/parameters.ts";
import { createOnnxRuntime } from "../runtime/onnx-runtime.ts";
import { int32Tensor } from "../runtime/tensor.ts";
import { sampleNumbers } from "./candidates.ts";
import { ChunkedRankingLoss } from "./chunked-ranking-loss.ts";
import { buildRankingRows, similarityVectors } from "./ranking-graph.ts";
import { type RankingLossOptions, resolveRankingOptions } from "./ranking-options.ts";

const [rows, dimension] = [4, 5];
const positiveOffset = 100;
const negativeOffset = 200;

/** Rows of sin(1 + offset + 7 i + 3 k). */
function matrix(offset: number): Float64Array {
  return Float64Array.from({ length: rows * dimension }, (_, index) =>
    Math.sin(1 + offset + 7 * Math.floor(index / dimension) + 3 * (index % dimension)),
  );
}

interface Golden {
  readonly name: string;
  readonly options: RankingLossOptions;
  readonly negatives: boolean;
  readonly loss: number;
  /** First element of the gradients of queries and positives. */
  readonly first: readonly [number, number];
  /** Norm of the gradient of each column. */
  readonly norms: readonly number[];
}

/** Computed in float64 by sentence-transformers 6.2.0 on these matrices. */
const goldenValues: readonly Golden[] = [
  {
    name: "default, pairs",
    options: {},
    negatives: false,
    loss: 1.5416079018348965,
    first: [-1.232036856754, 0.504203578299],
    norms: [2.424066579361, 4.651633116174],
  },
  {
    name: "default, triplets",
    options: {},
    negatives: true,
    loss: 2.0590211581765203,
    first: [-1.147799546316, 0.509587202996],
    norms: [2.270111409325, 4.707352981887, 0.35105183299],
  },
  {
    name: "dot_score, scale 1, pairs",
    options: { similarityFunction: "dot_score", scale: 1 },
    negatives: false,
    loss: 1.6124392852095415,
    first: [0.095822387442, -0.195049805047],
    norms: [0.405169884103, 0.545505518468],
  },
  {
    name: "scale 50, q2d + d2q, per_direction, pairs",
    options: { scale: 50, directions: ["query_to_doc", "doc_to_query"], partitionMode: "per_direction" },
    negatives: false,
    loss: 2.17697464713787,
    first: [-1.616132248433, 0.642949669882],
    norms: [4.829180157987, 6.39833523481],
  },
  {
    name: "q2d + d2q, joint, pairs",
    options: { directions: ["query_to_doc", "doc_to_query"] },
    negatives: false,
    loss: 2.49349669899605,
    first: [-1.342748903827, 0.494189730269],
    norms: [3.531277226176, 4.865342809457],
  },
  {
    name: "four directions, joint, triplets",
    options: { directions: ["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"] },
    negatives: true,
    loss: 3.288227988355932,
    first: [-1.284468534672, 0.483913409137],
    norms: [3.460592658374, 4.814372591306, 0.153013668103],
  },
  {
    name: "in_batch_negatives 9, triplets",
    options: { hardnessMode: "in_batch_negatives", hardnessStrength: 9 },
    negatives: true,
    loss: 9.879036893766646,
    first: [-1.145260696673, 0.514650877701],
    norms: [2.549298883922, 5.000759910044, 0.250573133806],
  },
  {
    name: "hard_negatives 5, triplets",
    options: { hardnessMode: "hard_negatives", hardnessStrength: 5 },
    negatives: true,
    loss: 3.7651835216041194,
    first: [-1.147799546316, 0.509902989316],
    norms: [2.42629249264, 4.871157327234, 2.33848591221],
  },
  {
    name: "all_negatives 5, triplets",
    options: { hardnessMode: "all_negatives", hardnessStrength: 5 },
    negatives: true,
    loss: 6.389400933511423,
    first: [-1.150101980251, 0.514536844118],
    norms: [2.462570544566, 4.935127321029, 0.728653834878],
  },
];

describe("the loss's formula, in double precision, has sentence-transformers' golden values", () => {
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

describe("the loss stage, in single precision and in chunks of rows, has the golden values", () => {
  // The loss stage only compiles through the encoder's programs: it needs no weights.
  const programs = new EncoderPrograms(
    createOnnxRuntime({ threads: 1 }),
    { parameters: new Parameters([]) } as unknown as EncoderPrograms["modules"],
    0,
    1,
  );
  for (const golden of goldenValues)
    for (const chunk of [4, 3, 1])
      it(`${golden.name}, ${chunk} rows at a time`, async () => {
        const options = resolveRankingOptions(golden.options);
        const stage = new ChunkedRankingLoss(programs, options, dimension);
        const columns = columnsOf(golden).map((column) => Float32Array.from(column));
        const { loss, gradients } = await stage.compute(columns, rows, { chunkSize: chunk, withGradients: true });
        expectClose(loss, golden.loss, 1e-6);
        // A probability is as exact as its logit: half a unit in the last place of `scale`, a few roundings deep.
        const rounding = 4 * 2 ** -24 * (options.scale + options.hardnessStrength);
        golden.norms.forEach((norm, column) => {
          expectClose(Math.hypot(...gradients[column]!), norm, rounding);
          const first = golden.first[column];
          if (first !== undefined)
            expect(Math.abs(gradients[column]![0]! - first)).toBeLessThanOrEqual(rounding * norm);
        });
        expect((await stage.compute(columns, rows, { chunkSize: chunk, withGradients: false })).loss).toBe(loss);
      });
});

function columnsOf({ negatives }: Golden): Float64Array[] {
  return [matrix(0), matrix(positiveOffset), ...(negatives ? [matrix(negativeOffset)] : [])];
}

async function computeInDoublePrecision(golden: Golden): Promise<{ loss: number; gradients: Float64Array[] }> {
  const options = resolveRankingOptions(golden.options);
  const graph = new Graph("golden");
  const columns = columnsOf(golden);
  const embeddings = columns.map((_, column) => graph.input(`column${column}`, "float64", ["rows", dimension]));
  const vectors = embeddings.map((value) => similarityVectors(options, value));
  const samples = graph.input("samples", "int32", ["rows"]);
  const [queries, ...documents] = vectors.map((value) => ({ vectors: value, samples }));
  const { losses } = buildRankingRows(options, { anchors: vectors[0]!, positives: vectors[1]!, samples }, [
    { queries: queries!, documents },
  ]);
  const loss = multiply(reduceSum(losses), 1 / rows);
  const results = gradients([{ of: loss }], embeddings);
  const program = await createOnnxRuntime({ threads: 1 }).compile(graph, {
    loss,
    ...Object.fromEntries(results.map((value, column) => [`gradient${column}`, value])),
  });
  const outputs = await program.run({
    samples: int32Tensor(sampleNumbers(0, rows), [rows]),
    ...Object.fromEntries(
      columns.map((data, column) => [
        `column${column}`,
        { dataType: "float64" as const, shape: [rows, dimension], data },
      ]),
    ),
  });
  await program.release();
  return {
    loss: Number(outputs.loss!.data[0]),
    gradients: columns.map((_, column) => outputs[`gradient${column}`]!.data as Float64Array),
  };
}

function expectClose(given: number, expected: number, tolerance: number): void {
  expect(Math.abs(given / expected - 1), `${given} instead of ${expected}`).toBeLessThanOrEqual(tolerance);
}
