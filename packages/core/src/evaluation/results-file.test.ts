import { expect, test } from "vitest";
import { formatProgress, formatPythonFloat } from "./results-file.ts";

// [str(x) for x in (0.0, -0.0, 1.0, 0.1, 1e-4, 5e-05, 1.5e-07, 2/3, 1e15, 1e16, 1.5e22, 123456.0, -2.5, inf, -inf, nan)]
test.each([
  [0, "0.0"],
  [-0, "-0.0"],
  [1, "1.0"],
  [0.1, "0.1"],
  [1e-4, "0.0001"],
  [5e-5, "5e-05"],
  [1.5e-7, "1.5e-07"],
  [2 / 3, "0.6666666666666666"],
  [1e15, "1000000000000000.0"],
  [1e16, "1e+16"],
  [1.5e22, "1.5e+22"],
  [123456, "123456.0"],
  [-2.5, "-2.5"],
  [Number.POSITIVE_INFINITY, "inf"],
  [Number.NEGATIVE_INFINITY, "-inf"],
  [Number.NaN, "nan"],
])("%s is written %s", (value, text) => {
  expect(formatPythonFloat(value)).toBe(text);
});

test.each([
  [{}, ["-1", "-1"]],
  [{ epoch: 1, steps: 20 }, ["1.0", "20"]],
  [{ epoch: 0.125 }, ["0.125", "-1"]],
])("the progress %j is written %j", (context, columns) => {
  expect(formatProgress(context)).toEqual(columns);
});
