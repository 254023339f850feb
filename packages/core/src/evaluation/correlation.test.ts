import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OptionError } from "../errors.ts";
import { averageRanks, pearsonCorrelation, spearmanCorrelation } from "./correlation.ts";

const number = fc.integer({ min: -8, max: 8 }).map((value) => value / 4);
const columns = fc
  .array(fc.tuple(number, number), { minLength: 2, maxLength: 40 })
  .map((rows): [number[], number[]] => [rows.map(([x]) => x), rows.map(([, y]) => y)]);
const isConstant = (values: number[]): boolean => values.every((value) => value === values[0]);
const varied = columns.filter(([x, y]) => !isConstant(x) && !isConstant(y));

/** 1 + the smaller ones + half of the other equal ones. */
const rankNaively = (values: number[]): number[] =>
  values.map((value) => {
    const [smaller, equal] = [values.filter((other) => other < value), values.filter((other) => other === value)];
    return smaller.length + (equal.length + 1) / 2;
  });

/** The mean product of differences of all pairs of rows: quadratic, and without any mean of a column. */
function correlateNaively(x: number[], y: number[]): number {
  const covariance = (a: number[], b: number[]): number => {
    let sum = 0;
    for (const [i, first] of a.entries())
      for (const [j, second] of a.entries()) sum += (first - second) * (b[i]! - b[j]!);
    return sum;
  };
  return covariance(x, y) / Math.sqrt(covariance(x, x) * covariance(y, y));
}

test("ranks are counted: ties share their mean", () => {
  expect([...averageRanks([30, 10, 20, 20, 20, 5])]).toEqual([6, 2, 4, 4, 4, 1]);
  expect([...averageRanks([Number.POSITIVE_INFINITY, 0, Number.POSITIVE_INFINITY, -0])]).toEqual([3.5, 1.5, 3.5, 1.5]);
  expect([...averageRanks([])]).toEqual([]);
  fc.assert(
    fc.property(fc.array(number), (values) => {
      expect([...averageRanks(values)]).toEqual(rankNaively(values));
    }),
  );
});

test("the correlations are those of the definition", () => {
  fc.assert(
    fc.property(varied, ([x, y]) => {
      expect(pearsonCorrelation(x, y)).toBeCloseTo(correlateNaively(x, y), 12);
      expect(spearmanCorrelation(x, y)).toBeCloseTo(correlateNaively(rankNaively(x), rankNaively(y)), 12);
    }),
  );
});

describe("what leaves a correlation as it is", () => {
  test("Spearman: any rising function of a column, to the last digit", () => {
    fc.assert(
      fc.property(varied, ([x, y]) => {
        const rising = (values: number[]): number[] => values.map((value) => Math.exp(value) * 3 - 1);
        expect(spearmanCorrelation(rising(x), y)).toBe(spearmanCorrelation(x, y));
        expect(spearmanCorrelation(x, rising(y))).toBe(spearmanCorrelation(x, y));
        const falling = y.map((value) => -(value ** 3));
        expect(spearmanCorrelation(x, falling)).toBe(0 - spearmanCorrelation(x, y));
      }),
    );
  });

  test("Pearson: a column scaled and moved", () => {
    fc.assert(
      fc.property(varied, fc.integer({ min: 1, max: 9 }), number, ([x, y], scale, offset) => {
        const moved = x.map((value) => value * scale + offset);
        expect(pearsonCorrelation(moved, y)).toBeCloseTo(pearsonCorrelation(x, y), 12);
        expect(
          pearsonCorrelation(
            moved.map((value) => -value),
            y,
          ),
        ).toBeCloseTo(-pearsonCorrelation(x, y), 12);
      }),
    );
  });

  test("both: another order of the rows, and the columns exchanged", () => {
    const shuffled = varied.chain(([x, y]) =>
      fc.tuple(
        fc.constant({ x, y }),
        fc.shuffledSubarray(
          x.map((_, row) => row),
          { minLength: x.length },
        ),
      ),
    );
    fc.assert(
      fc.property(shuffled, ([{ x, y }, order]) => {
        const [a, b] = [order.map((row) => x[row]!), order.map((row) => y[row]!)];
        expect(pearsonCorrelation(a, b)).toBeCloseTo(pearsonCorrelation(x, y), 12);
        // Sums of ranks are exact.
        expect(spearmanCorrelation(a, b)).toBe(spearmanCorrelation(x, y));
        expect(pearsonCorrelation(y, x)).toBeCloseTo(pearsonCorrelation(x, y), 12);
        expect(spearmanCorrelation(y, x)).toBeCloseTo(spearmanCorrelation(x, y), 12);
      }),
    );
  });
});

test("lines give 1, of tiny numbers and of huge ones", () => {
  fc.assert(
    fc.property(varied, fc.constantFrom(1e-200, 1, 1e300), ([x], size) => {
      const sized = x.map((value) => value * size);
      for (const correlate of [pearsonCorrelation, spearmanCorrelation]) {
        const correlation = correlate(sized, x);
        expect(correlation).toBeLessThanOrEqual(1);
        expect(correlation).toBeCloseTo(1, 12);
      }
    }),
  );
});

// from scipy.stats import pearsonr, spearmanr; pearsonr(x, y)[0], spearmanr(x, y)[0]
test.each([
  [[0.1, 0.7], [3, 1], -1, -0.9999999999999999],
  [[1, 2, 3, 4, 5], [5, 6, 7, 8, 7], 0.8320502943378436, 0.8207826816681233],
  [[1, 1, 2, 2, 3], [2, 1, 1, 2, 2], 0.32732683535398843, 0.3042903097250923],
])("scipy of %j and %j", (x, y, pearson, spearman) => {
  expect(pearsonCorrelation(x, y)).toBeCloseTo(pearson, 14);
  expect(spearmanCorrelation(x, y)).toBe(spearman);
});

test("is NaN with constant numbers, NaN or infinities", () => {
  for (const correlate of [pearsonCorrelation, spearmanCorrelation]) {
    expect(correlate([1, 1, 1], [1, 2, 3])).toBeNaN();
    expect(correlate([1, 2, 3], [7, 7, 7])).toBeNaN();
    expect(correlate([1, 2, 3], [7, Number.NaN, 9])).toBeNaN();
  }
  const infinite = [Number.NEGATIVE_INFINITY, 2, Number.POSITIVE_INFINITY];
  expect(pearsonCorrelation([1, 2, 3], infinite)).toBeNaN();
  expect(spearmanCorrelation([1, 2, 3], infinite)).toBe(1);
});

test.each([
  [[1, 2], [1]],
  [[1], [1]],
  [[], []],
])("is refused for %j and %j", (x, y) => {
  for (const correlate of [pearsonCorrelation, spearmanCorrelation]) {
    expect(() => correlate(x, y)).toThrow(OptionError);
    expect(() => correlate(x, y)).toThrow(
      `A correlation was asked of ${x.length} and ${y.length} numbers; expected equally many, two or more.`,
    );
  }
});

test("a million rows take seconds, not the square of them", () => {
  const rows = 1_000_000;
  const x = Float64Array.from({ length: rows }, (_, row) => (row * 7919) % 1000);
  const y = Float32Array.from(x, (value, row) => value + ((row * 104_729) % 500));
  const started = performance.now();
  expect(spearmanCorrelation(x, y)).toBeGreaterThan(0.8);
  expect(performance.now() - started).toBeLessThan(20_000);
});
