import { isFloating } from "../data-type.ts";
import { OperatorFailure } from "../errors.ts";
import type { TensorType } from "../graph.ts";

import { type Dimension, formatShape } from "../shape.ts";

/** Refuses inputs that are not floating-point. */
export function requireFloating(...types: readonly TensorType[]): void {
  for (const type of types)
    if (!isFloating(type.dataType))
      throw new OperatorFailure("data-type-mismatch", `expected floating-point inputs, got ${type.dataType}.`);
}

/** Refuses inputs of different element types. */
export function requireSameDataType(...types: readonly TensorType[]): void {
  const [first] = types;
  if (types.some((type) => type.dataType !== first!.dataType))
    throw new OperatorFailure(
      "data-type-mismatch",
      `expected inputs of one element type, got ${types.map((type) => type.dataType).join(" and ")}. Cast one of them.`,
    );
}

/** Refuses a tensor of another rank. */
export function requireRank(type: TensorType, rank: number, role: string): void {
  if (type.shape.length !== rank)
    throw new OperatorFailure("shape-mismatch", `expected ${role} of rank ${rank}, got ${formatShape(type.shape)}.`);
}

/** Refuses dimensions that are not provably equal. */
export function requireEqual(a: Dimension, b: Dimension, what: string): void {
  if (a !== b) throw new OperatorFailure("shape-mismatch", `${what} must be equal: ${a} is not ${b}.`);
}

/** An axis as a number from 0; negative axes count from the end. */
export function normalizeAxis(axis: number, rank: number): number {
  const normalized = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || normalized < 0 || normalized >= rank)
    throw new OperatorFailure("invalid-attribute", `axis ${axis} does not exist in a tensor of rank ${rank}.`);
  return normalized;
}
