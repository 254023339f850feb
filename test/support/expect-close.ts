import { compareValues, explain } from "@gradbank/bridge";
import { expect } from "vitest";

/** Checks that no element differs by more than `tolerance`; the message tells the worst one. */
export function expectClose(
  ours: ArrayLike<number>,
  reference: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  const comparison = compareValues({
    name: what,
    shape: [reference.length],
    ourShape: [ours.length],
    ours,
    reference,
    tolerance: { absolute: tolerance, relative: 0 },
  });
  expect(comparison.equal, explain(comparison)).toBe(true);
}
