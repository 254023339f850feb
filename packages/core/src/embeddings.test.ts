import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  cosineSimilarity,
  dotScore,
  type Embeddings,
  normalizeEmbeddings,
  truncateEmbeddings,
  writeDotProducts,
} from "./embeddings.ts";
import { OptionError } from "./errors.ts";

const embeddings = (rows: number, dimension: number): fc.Arbitrary<Embeddings> =>
  fc
    .array(fc.float({ min: -8, max: 8, noNaN: true }), { minLength: rows * dimension, maxLength: rows * dimension })
    .map((numbers) => ({ data: Float32Array.from(numbers), rows, dimension }));

const pair = fc
  .tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 11 }), fc.integer({ min: 1, max: 9 }))
  .chain(([left, right, dimension]) => fc.tuple(embeddings(left, dimension), embeddings(right, dimension)));

const row = ({ data, dimension }: Embeddings, index: number): number[] => [
  ...data.subarray(index * dimension, (index + 1) * dimension),
];
const dot = (x: number[], y: number[]): number => x.reduce((sum, value, index) => sum + value * y[index]!, 0);

test("dotScore is the sum of products of every pair of rows", () => {
  fc.assert(
    fc.property(pair, ([left, right]) => {
      const scores = dotScore(left, right);
      expect(scores.length).toBe(left.rows * right.rows);
      for (let i = 0; i < left.rows; i++) {
        for (let j = 0; j < right.rows; j++) {
          expect(scores[i * right.rows + j]).toBe(Math.fround(dot(row(left, i), row(right, j))));
        }
      }
    }),
  );
});

test("cosineSimilarity is the dot product over both lengths", () => {
  fc.assert(
    fc.property(pair, ([left, right]) => {
      const scores = cosineSimilarity(left, right);
      for (let i = 0; i < left.rows; i++) {
        for (let j = 0; j < right.rows; j++) {
          const [x, y] = [row(left, i), row(right, j)];
          const lengths = [x, y].map((vector) => Math.max(Math.sqrt(dot(vector, vector)), 1e-12));
          expect(Math.abs(scores[i * right.rows + j]! - dot(x, y) / lengths[0]! / lengths[1]!)).toBeLessThan(1e-6);
        }
      }
    }),
  );
});

test("writeDotProducts writes the part that is asked for, equal to the whole", () => {
  const range = (length: number): fc.Arbitrary<[number, number]> =>
    fc.tuple(fc.nat(length), fc.nat(length)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)]);
  const part = pair.chain(([left, right]) =>
    fc.tuple(fc.constant(left), fc.constant(right), range(left.rows), range(right.rows)),
  );
  fc.assert(
    fc.property(part, ([left, right, [leftStart, leftEnd], [rightStart, rightEnd]]) => {
      const width = rightEnd - rightStart;
      const scores = new Float32Array((leftEnd - leftStart) * width + 1).fill(77);
      writeDotProducts(left, leftStart, leftEnd, right, rightStart, rightEnd, scores);
      const whole = dotScore(left, right);
      for (let i = leftStart; i < leftEnd; i++) {
        for (let j = rightStart; j < rightEnd; j++) {
          expect(scores[(i - leftStart) * width + j - rightStart]).toBe(whole[i * right.rows + j]);
        }
      }
      expect(scores.at(-1)).toBe(77);
    }),
  );
});

// torch.nn.functional.normalize(torch.tensor([[3., 4.], [0., 0.], [1e-13, 0.]]), p=2, dim=-1)
test("normalizeEmbeddings leaves zero rows zero and divides tiny ones by 1e-12, as torch does", () => {
  const given = { data: Float32Array.of(3, 4, 0, 0, 1e-13, 0), rows: 3, dimension: 2 };
  const { data } = normalizeEmbeddings(given);
  expect([...data].map((value) => Math.round(value * 1e6) / 1e6)).toEqual([0.6, 0.8, 0, 0, 0.1, 0]);
  expect([...given.data.subarray(0, 2)]).toEqual([3, 4]);
});

test("truncateEmbeddings keeps the first numbers of every row", () => {
  const given = { data: Float32Array.of(1, 2, 3, 4, 5, 6), rows: 2, dimension: 3 };
  expect(truncateEmbeddings(given, 2)).toEqual({ data: Float32Array.of(1, 2, 4, 5), rows: 2, dimension: 2 });
});

describe("what is refused", () => {
  const one = { data: Float32Array.of(1, 2), rows: 1, dimension: 2 };
  test.each<[string, () => unknown]>([
    ["have 2 and 1 dimensions", () => dotScore(one, { data: Float32Array.of(1), rows: 1, dimension: 1 })],
    ["hold 2 numbers for 2 rows of 2", () => normalizeEmbeddings({ ...one, rows: 2 })],
    ["hold 2 numbers for 1 rows of 3", () => dotScore({ ...one, dimension: 3 }, { ...one, dimension: 3 })],
    ["dimension is 0", () => truncateEmbeddings(one, 0)],
    ["dimension is 3", () => truncateEmbeddings(one, 3)],
  ])("%s", (message, make) => {
    expect(make).toThrow(OptionError);
    expect(make).toThrow(message);
  });
});
