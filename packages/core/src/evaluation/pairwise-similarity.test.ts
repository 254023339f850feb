import fc from "fast-check";
import { expect, test } from "vitest";
import type { Embeddings } from "../embeddings.ts";
import { OptionError } from "../errors.ts";
import { pairwiseSimilarity, similarityFunctionNames } from "./pairwise-similarity.ts";

const embeddings = (rows: number, dimension: number): fc.Arbitrary<Embeddings> =>
  fc
    .array(fc.float({ min: -8, max: 8, noNaN: true }), { minLength: rows * dimension, maxLength: rows * dimension })
    .map((numbers) => ({ data: Float32Array.from(numbers), rows, dimension }));
const pair = fc
  .tuple(fc.nat(6), fc.integer({ min: 1, max: 9 }))
  .chain(([rows, dimension]) => fc.tuple(embeddings(rows, dimension), embeddings(rows, dimension)));

const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
const lengthOf = (x: number[]): number => Math.max(Math.sqrt(sum(x.map((value) => value ** 2))), 1e-12);
const definitions: Record<string, (x: number[], y: number[]) => number> = {
  cosine: (x, y) => sum(x.map((value, index) => (value / lengthOf(x)) * (y[index]! / lengthOf(y)))),
  dot: (x, y) => sum(x.map((value, index) => value * y[index]!)),
  euclidean: (x, y) => -Math.sqrt(sum(x.map((value, index) => (value - y[index]!) ** 2))),
  manhattan: (x, y) => -sum(x.map((value, index) => Math.abs(value - y[index]!))),
};

test.each(similarityFunctionNames)("%s is what its definition says of every two rows", (name) => {
  fc.assert(
    fc.property(pair, ([left, right]) => {
      const found = pairwiseSimilarity(name, left, right);
      expect(found.length).toBe(left.rows);
      for (const [row, value] of found.entries()) {
        const [start, end] = [row * left.dimension, (row + 1) * left.dimension];
        const expected = definitions[name]!([...left.data.subarray(start, end)], [...right.data.subarray(start, end)]);
        expect(Math.abs(value - expected)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(expected)));
      }
      expect(pairwiseSimilarity(name, right, left)).toEqual(found);
    }),
  );
});

test.each([
  [3, 2],
  [2, 3],
])("refuses %i rows of %i beside 2 rows of 2", (rows, dimension) => {
  const of = (rowCount: number, size: number): Embeddings => ({
    data: new Float32Array(rowCount * size),
    rows: rowCount,
    dimension: size,
  });
  const compare = (): unknown => pairwiseSimilarity("dot", of(rows, dimension), of(2, 2));
  expect(compare).toThrow(OptionError);
  expect(compare).toThrow(`The embeddings are ${rows} rows of ${dimension} and 2 rows of 2; expected the same`);
});
