import fc from "fast-check";
import { expect, it } from "vitest";
import { type CaseLayer, locateInLayers, mergeLayers } from "./merge-case.ts";

const layer = (value: Record<string, unknown>, name = "layer"): CaseLayer => ({
  value,
  locate: (path) => ({ place: `${name}:${path.join(".")}` }),
});

const leaves = fc.oneof(fc.integer(), fc.constant(null), fc.array(fc.integer(), { maxLength: 2 }));
const fields = fc.dictionary(
  fc.constantFrom("steps", "loss", "x"),
  fc.oneof(leaves, fc.dictionary(fc.constantFrom("scale", "y"), leaves)),
);

it("takes every innermost field from the last layer that has it", () => {
  fc.assert(
    fc.property(fc.array(fields, { minLength: 1, maxLength: 4 }), (values) => {
      const layers = values.map((value, index) => layer(value, String(index)));
      const merged = mergeLayers(layers);
      // Written from the other end: walk the layers from the last, stop at the first that is no mapping.
      const expected = (path: readonly string[]): unknown => {
        const found = values
          .map((value) => path.reduce<unknown>((node, name) => (node as Record<string, unknown> | null)?.[name], value))
          .filter((value) => value !== undefined);
        const isMapping = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);
        const start = found.findLastIndex((value) => !isMapping(value));
        if (start === found.length - 1) return found[start];
        const names = new Set(found.slice(start + 1).flatMap((value) => Object.keys(value as object)));
        return Object.fromEntries(
          [...names].map((name) => [
            name,
            found
              .slice(start + 1)
              .map((value) => (value as Record<string, unknown>)[name])
              .findLast((value) => value !== undefined),
          ]),
        );
      };
      for (const name of ["steps", "loss", "x"]) expect(merged[name]).toEqual(expected([name]));
    }),
  );
});

it("replaces what is of another kind", () => {
  const merge = (...values: Record<string, unknown>[]) => mergeLayers(values.map((value) => layer(value)));
  expect(merge({ model: { layers: 3 } }, { model: { random: "mpnet" } })).toEqual({
    model: { layers: 3, random: "mpnet" },
  });
  expect(merge({ model: { layers: 3 } }, { model: { folder: "m" } })).toEqual({ model: { folder: "m" } });
  expect(merge({ model: { folder: "m" } }, { model: { layers: 3 } })).toEqual({ model: { folder: "m", layers: 3 } });
  expect(merge({ data: { file: "x", columns: ["a", "b"] } }, { data: { texts: {} } })).toEqual({ data: { texts: {} } });
  expect(merge({ reference: { class: "A", options: { x: 1 } } }, { reference: { class: "B" } })).toEqual({
    reference: { class: "B" },
  });
  expect(merge({ reference: { class: "A", options: { x: 1 } } }, { reference: { options: { y: 2 } } })).toEqual({
    reference: { class: "A", options: { x: 1, y: 2 } },
  });
});

it("says which layer a value came from", () => {
  const layers = [
    layer({ loss: { scale: 1, bank: { capacity: 2 } } }, "defaults"),
    layer({ loss: { scale: 3 } }, "case"),
  ];
  expect(locateInLayers(layers, ["loss", "scale"])?.place).toBe("case:loss.scale");
  expect(locateInLayers(layers, ["loss", "bank", "capacity"])?.place).toBe("defaults:loss.bank.capacity");
  expect(locateInLayers(layers, ["loss", "bank", "missing"])?.place).toBe("defaults:loss.bank.missing");
  expect(locateInLayers(layers, ["loss", "missing"])?.place).toBe("case:loss.missing");
  expect(locateInLayers(layers, ["nothing"])).toBeUndefined();
});
