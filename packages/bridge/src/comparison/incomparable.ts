import { BridgeError } from "../errors.ts";
import { elementsOf } from "./element.ts";
import type { TensorComparison } from "./tensor-comparison.ts";

/** Shapes and lengths of a pair of tensors. */
export interface ComparedShapes {
  readonly name: string;
  /** Shape of the reference. */
  readonly shape: readonly number[];
  /** Our shape. Default: the reference's. */
  readonly ourShape?: readonly number[];
}

/**
 * A tensor, or fact, that one side (`side`) does not have.
 *
 * @param options.shape Shape of the tensor that the other side has. Default: a scalar's.
 * @param options.detail What the other side has, in words. Default: nothing.
 */
export function missing(
  name: string,
  side: "ours" | "reference",
  { shape = [], detail }: { readonly shape?: readonly number[]; readonly detail?: string } = {},
): TensorComparison {
  const words = side === "ours" ? "our side does not have it" : "the reference does not have it";
  return incomparable(name, shape, "missing", detail ? `${words}; ${detail}` : words);
}

/** Two tensors whose shapes differ. `what` differs. Default: "shape". */
export function differentShapes(
  name: string,
  ours: readonly number[],
  reference: readonly number[],
  what = "shape",
): TensorComparison {
  return incomparable(
    name,
    reference,
    "shape",
    `our ${what} [${ours.join(", ")}], reference [${reference.join(", ")}]`,
  );
}

/**
 * The comparison of tensors whose shapes differ; undefined where they can be compared number by number.
 *
 * @throws BridgeError "invalid-tensor" when a side's numbers do not fit its shape.
 */
export function compareShapes(
  { name, shape, ourShape = shape }: ComparedShapes,
  ours: ArrayLike<unknown>,
  reference: ArrayLike<unknown>,
): TensorComparison | undefined {
  checkLength(name, "the reference", shape, reference);
  if (ours.length !== reference.length && ourShape === shape) return differentShapes(name, [ours.length], shape);
  checkLength(name, "our side", ourShape, ours);
  return sameShape(ourShape, shape) ? undefined : differentShapes(name, ourShape, shape);
}

/** Whether two shapes are the same. */
export function sameShape(ours: readonly number[], reference: readonly number[]): boolean {
  return ours.length === reference.length && ours.every((size, axis) => size === reference[axis]);
}

function checkLength(name: string, side: string, shape: readonly number[], values: ArrayLike<unknown>): void {
  const expected = elementsOf(shape);
  if (values.length === expected) return;
  throw new BridgeError(
    "invalid-tensor",
    `Tensor "${name}" of ${side} has ${values.length} numbers; its shape [${shape.join(", ")}] needs ${expected}. ` +
      "Give the shape that belongs to the numbers.",
    { name, side, shape, expected, actual: values.length },
  );
}

function incomparable(
  name: string,
  shape: readonly number[],
  reason: "missing" | "shape",
  detail: string,
): TensorComparison {
  return {
    name,
    shape: [...shape],
    equal: false,
    reason,
    detail,
    sketched: false,
    zero: false,
    rms: null,
    scale: null,
    elements: elementsOf(shape),
    normRatio: null,
    multiple: null,
    limit: 0,
    requiredTolerance: null,
  };
}
