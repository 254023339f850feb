import fc from "fast-check";
import { expect, test } from "vitest";
import { InMemoryDataset } from "../data/dataset.ts";
import { findRepeatedValues } from "./repeated-values.ts";

test("finds the texts that two rows or more share, across columns", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.string({ maxLength: 1 }), fc.nat(12).map(String), fc.constantFrom("", "x")), {
        minLength: 1,
      }),
      async (rows) => {
        const dataset = InMemoryDataset.fromRows(["a", "b", "c"], rows);
        const { count, rowStarts, values, valueStarts } = await findRepeatedValues(dataset);
        const rowsOf = new Map<string, Set<number>>();
        for (const [row, texts] of rows.entries()) {
          for (const text of texts) rowsOf.set(text, (rowsOf.get(text) ?? new Set()).add(row));
        }
        const shared = [...rowsOf.values()].filter((found) => found.size > 1);
        expect(count).toBe(shared.length);
        const found = Array.from({ length: count }, () => new Set<number>());
        for (let row = 0; row < rows.length; row++) {
          for (const value of values.subarray(rowStarts[row], rowStarts[row + 1])) found[value]!.add(row);
        }
        expect(new Set(found.map((set) => [...set].join()))).toEqual(new Set(shared.map((set) => [...set].join())));
        expect(Array.from(valueStarts.subarray(1), (end, value) => end - valueStarts[value]!)).toEqual(
          found.map((set) => set.size),
        );
      },
    ),
  );
});

test("does not take different texts for the same", async () => {
  const letters = [..."abcdefghijklmnopqrstuvwxyz0123456789äöüß .,-"];
  const texts = new Set<string>();
  for (let number = 0; number < 400_000; number++) texts.add(String(number)).add(`text ${number * 65536}`);
  for (const a of letters)
    for (const b of letters) for (const c of letters) texts.add(a + b + c).add(`${a}\0${b}\uFFFF${c}`);
  const { count } = await findRepeatedValues(new InMemoryDataset(["a"], [[...texts]]));
  expect(count).toBe(0);
});

test("does not compare labels", async () => {
  const dataset = InMemoryDataset.fromColumns({ a: ["x", "y"], label: ["1", "1"], dataset_name: ["n", "n"] });
  expect((await findRepeatedValues(dataset)).count).toBe(0);
});
