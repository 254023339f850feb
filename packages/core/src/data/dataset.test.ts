import { describe, expect, test } from "vitest";
import { DataError, OptionError } from "../errors.ts";
import { InMemoryDataset, renameColumns, selectColumns, selectRows } from "./dataset.ts";
import { trainTestSplit } from "./train-test-split.ts";

const dataset = InMemoryDataset.fromColumns({ a: ["a0", "a1", "a2"], b: ["b0", "b1", "b2"], c: ["c0", "c1", "c2"] });

describe("InMemoryDataset", () => {
  test("reads rows in the order asked, more than once", async () => {
    expect(dataset.length).toBe(3);
    expect(await dataset.readRows([2, 0, 2])).toEqual([
      ["a2", "b2", "c2"],
      ["a0", "b0", "c0"],
      ["a2", "b2", "c2"],
    ]);
    expect(await dataset.readRows(Int32Array.of())).toEqual([]);
  });

  test("fromRows keeps the order of columns whose names are numbers", async () => {
    const rows = InMemoryDataset.fromRows(["2", "1"], [["x", "y"]]);
    expect(rows.columnNames).toEqual(["2", "1"]);
    expect(await rows.readRows([0])).toEqual([["x", "y"]]);
  });

  test.each([[-1], [3], [0.5], [Number.NaN]])("refuses to read row %s", async (row) => {
    await expect(dataset.readRows([0, row])).rejects.toMatchObject({
      code: "row-out-of-range",
      facts: { row, position: 1, length: 3 },
    });
  });

  test.each<[string, () => unknown]>([
    ["missing-column", () => InMemoryDataset.fromColumns({})],
    ["missing-column", () => new InMemoryDataset(["a", ""], [[], []])],
    ["missing-column", () => new InMemoryDataset(["a", "b"], [[]])],
    ["duplicate-column", () => new InMemoryDataset(["a", "a"], [[], []])],
    ["ragged-columns", () => InMemoryDataset.fromColumns({ a: ["x"], b: [] })],
    ["ragged-row", () => InMemoryDataset.fromRows(["a"], [["x"], ["x", "y"]])],
    ["invalid-value", () => InMemoryDataset.fromColumns({ a: ["x", 7 as unknown as string] })],
  ])("refuses what cannot be: %s", (code, make) => {
    expect(make).toThrow(DataError);
    expect(make).toThrow(expect.objectContaining({ code }));
  });
});

describe("views", () => {
  test("selectRows, selectColumns and renameColumns combine", async () => {
    const view = renameColumns(selectColumns(selectRows(selectRows(dataset, [2, 1, 1]), [0, 2]), ["c", "a"]), {
      c: "q",
    });
    expect(view.columnNames).toEqual(["q", "a"]);
    expect(view.length).toBe(2);
    expect(await view.readRows([1, 0])).toEqual([
      ["c1", "a1"],
      ["c2", "a2"],
    ]);
  });

  test("a view of rows does not follow later changes of the indices", async () => {
    const indices = [0];
    const view = selectRows(dataset, indices);
    indices[0] = 1;
    expect(await view.readRows([0])).toEqual([["a0", "b0", "c0"]]);
  });

  test("refuse rows and columns that are not there", async () => {
    expect(() => selectRows(dataset, [3])).toThrow(expect.objectContaining({ code: "row-out-of-range" }));
    await expect(selectRows(dataset, [2]).readRows([1])).rejects.toMatchObject({ code: "row-out-of-range" });
    expect(() => selectColumns(dataset, ["a", "z"])).toThrow('there is no column "z"; the data set has "a", "b", "c"');
    expect(() => selectColumns(dataset, ["a", "a"])).toThrow(expect.objectContaining({ code: "duplicate-column" }));
    expect(() => renameColumns(dataset, { z: "y" })).toThrow(expect.objectContaining({ code: "missing-column" }));
    expect(() => renameColumns(dataset, { a: "b" })).toThrow(expect.objectContaining({ code: "duplicate-column" }));
    expect(renameColumns(dataset, { a: "b", b: "a" }).columnNames).toEqual(["b", "a", "c"]);
  });
});

describe("trainTestSplit", () => {
  const numbers = InMemoryDataset.fromColumns({ n: Array.from({ length: 10 }, (_, row) => String(row)) });
  const read = async (part: typeof numbers | ReturnType<typeof selectRows>): Promise<number[]> =>
    (await part.readRows(Array.from({ length: part.length }, (_, row) => row))).map(([text]) => Number(text));

  // Dataset.from_dict({"n": list(range(10))}).train_test_split(test_size=..., seed=12) of datasets 5.2.0
  test.each([
    [3, [7, 1, 5], [0, 3, 4, 2, 6, 9, 8]],
    [0.25, [7, 1, 5], [0, 3, 4, 2, 6, 9, 8]],
    [0.01, [7], [1, 5, 0, 3, 4, 2, 6, 9, 8]],
    [9, [7, 1, 5, 0, 3, 4, 2, 6, 9], [8]],
  ])("testSize %s gives the rows that Hugging Face datasets gives", async (testSize, testRows, trainRows) => {
    const { train, test: testPart } = trainTestSplit(numbers, { testSize, seed: 12 });
    expect(await read(testPart)).toEqual(testRows);
    expect(await read(train)).toEqual(trainRows);
  });

  test.each([0, -1, 10, 11, 1.5, 0.99, Number.NaN])("refuses testSize %s of 10 rows", (testSize) => {
    expect(() => trainTestSplit(numbers, { testSize })).toThrow(OptionError);
  });
});
