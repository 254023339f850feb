import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareFacts, type Fact } from "./compare-facts.ts";
import { tensorComparisonSchema } from "./tensor-comparison.ts";

const fact: fc.Arbitrary<Fact> = fc.oneof(
  fc.string(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.array(fc.string(), { maxLength: 3 }),
  fc.constantFrom("1", 1, "true", "null", [], ""),
);
const facts = fc.dictionary(fc.constantFrom("scale", "loss", "toString", "__proto__", "d"), fact, {
  noNullPrototype: true,
});

describe("compareFacts", () => {
  it("finds every fact of either side once, and only itself equal to it", () => {
    fc.assert(
      fc.property(facts, facts, (ours, reference) => {
        const comparisons = compareFacts(ours, reference);
        const names = new Set([...Object.keys(ours), ...Object.keys(reference)]);
        expect(comparisons.map(({ name }) => name)).toEqual([...names]);
        for (const comparison of comparisons) {
          expect(tensorComparisonSchema.parse(comparison)).toEqual(comparison);
          const has = [ours, reference].map((side) => Object.hasOwn(side, comparison.name));
          const [our, expected] = [ours, reference].map((side) => side[comparison.name]);
          if (has.includes(false)) expect(comparison.reason).toBe("missing");
          // JSON tells all facts apart but numbers that it does not know, and -0.
          else if (typeof our !== "number" || typeof expected !== "number")
            expect(comparison.equal).toBe(JSON.stringify(our) === JSON.stringify(expected));
          else expect(comparison.equal).toBe(our === expected || (Number.isNaN(our) && Number.isNaN(expected)));
          expect(comparison.equal).toBe(comparison.reason === undefined);
        }
        expect(compareFacts(ours, ours).every(({ equal }) => equal)).toBe(true);
      }),
    );
  });

  it("shows both values, and what one side alone says", () => {
    const [scale, dropout, directions, dtype] = compareFacts(
      { scale: 20, dropout: false, directions: ["query_to_doc"] },
      { scale: 10, directions: ["query_to_doc", "doc_to_query"], dtype: "float32" },
    );
    expect(scale).toMatchObject({ equal: false, reason: "value", detail: "ours 20, reference 10" });
    expect(dropout).toMatchObject({ reason: "missing", detail: "the reference does not have it; ours false" });
    expect(directions!.detail).toBe('ours ["query_to_doc"], reference ["query_to_doc","doc_to_query"]');
    expect(dtype!.detail).toBe('our side does not have it; reference "float32"');
  });

  it("leaves out what the caller ignores", () => {
    expect(compareFacts({ a: 1, b: 2 }, { a: 2 }, { ignore: ["a", "b"] })).toEqual([]);
  });
});
