import fc from "fast-check";
import { expect, it } from "vitest";
import { parsePath, showPath, valueAt, withValueAt } from "./configuration-path.ts";

const name = fc.oneof(fc.stringMatching(/^[A-Za-z_][\w-]*$/), fc.constantFrom("__proto__", "constructor"));

it("reads names with dots, and whole numbers as places in lists", () => {
  expect(parsePath("cases.0.loss.scale")).toEqual(["cases", 0, "loss", "scale"]);
  for (const text of ["", ".", "a.", ".a", "a..b"]) expect(parsePath(text), text).toBeUndefined();
  fc.assert(
    fc.property(fc.array(fc.oneof(name, fc.nat(9)), { minLength: 1 }), (path) => {
      expect(parsePath(showPath(path))).toEqual(path);
    }),
  );
});

it("puts a value where it is then found, changes nothing else, and leaves the original alone", () => {
  fc.assert(
    fc.property(
      fc.dictionary(name, fc.dictionary(name, fc.integer())),
      fc.array(name, { minLength: 1, maxLength: 2 }),
      fc.integer(),
      (value, path, replacement) => {
        const before = structuredClone(value);
        const changed = withValueAt(value, path, replacement) as Record<string, unknown>;
        expect(valueAt(changed, path)).toBe(replacement);
        expect(value).toEqual(before);
        for (const other of Object.keys(value)) if (other !== path[0]) expect(changed[other]).toBe(value[other]);
        expect(({} as Record<string, unknown>).polluted).toBeUndefined();
      },
    ),
  );
});

it("makes no place where there can be none", () => {
  const value = { list: [1, { a: 2 }], text: "t" };
  expect(withValueAt(value, ["list", 1, "a"], 3)).toEqual({ list: [1, { a: 3 }], text: "t" });
  expect(withValueAt(value, ["new", "field"], 3)).toEqual({ ...value, new: { field: 3 } });
  for (const path of [
    ["list", 2],
    ["list", "a"],
    ["text", "a"],
    ["list", 0, "a"],
  ])
    expect(withValueAt(value, path, 3), showPath(path)).toBeUndefined();
});

it("finds own fields only", () => {
  expect(valueAt({}, ["constructor"])).toBeUndefined();
  expect(valueAt("text", ["length"])).toBeUndefined();
  expect(valueAt([5], [0])).toBe(5);
});
