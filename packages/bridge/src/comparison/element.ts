import type { ElementComparison } from "./tensor-comparison.ts";

/** One element on both sides, `index` being its place in the flat tensor of this shape. */
export function compareElement(
  index: number,
  shape: readonly number[],
  ours: number,
  reference: number,
): ElementComparison {
  const position: number[] = [];
  let rest = index;
  for (const size of shape.toReversed()) {
    position.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return {
    index,
    position,
    ours: finiteOrNull(ours),
    reference: finiteOrNull(reference),
    difference: finiteOrNull(Math.abs(ours - reference)),
  };
}

/** Numbers of a tensor of this shape; 1 for a scalar's, []. */
export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** JSON knows no NaN and no infinity. */
export function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
