import { missing } from "./incomparable.ts";
import type { TensorComparison } from "./tensor-comparison.ts";

/** A plain value by which a side describes itself. */
export type Fact = string | number | boolean | null | readonly string[];
export type Facts = Readonly<Record<string, Fact>>;

/**
 * Compares what both sides say about themselves, fact by fact: ours in their order, then what only the reference says. A
 * fact that one side does not state is `missing`, unless `ignore` names it (such a fact is not reported at all).
 */
export function compareFacts(
  ours: Facts,
  reference: Facts,
  { ignore = [] }: { readonly ignore?: readonly string[] } = {},
): TensorComparison[] {
  const names = [...new Set([...Object.keys(ours), ...Object.keys(reference)])].filter(
    (name) => !ignore.includes(name),
  );
  return names.map((name) => {
    const our = Object.hasOwn(ours, name) ? ours[name] : undefined;
    const theirs = Object.hasOwn(reference, name) ? reference[name] : undefined;
    if (our === undefined) return missing(name, "ours", { detail: `reference ${written(theirs)}` });
    if (theirs === undefined) return missing(name, "reference", { detail: `ours ${written(our)}` });
    const equal = sameFact(our, theirs);
    return {
      name,
      shape: [],
      equal,
      ...(!equal && { reason: "value" as const }),
      detail: equal ? written(our) : `ours ${written(our)}, reference ${written(theirs)}`,
      sketched: false,
      zero: false,
      rms: equal ? 0 : null,
      scale: null,
      elements: 1,
      normRatio: null,
      multiple: equal ? 0 : null,
      limit: 0,
      requiredTolerance: equal ? 0 : null,
    };
  });
}

function sameFact(ours: Fact, reference: Fact): boolean {
  if (!Array.isArray(ours) || !Array.isArray(reference)) return ours === reference || Object.is(ours, reference);
  return ours.length === reference.length && ours.every((item, index) => item === reference[index]);
}

/** As JSON, save for numbers that JSON does not know. */
function written(fact: Fact | undefined): string {
  return typeof fact === "number" ? String(fact) : JSON.stringify(fact);
}
