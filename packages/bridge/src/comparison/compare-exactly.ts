import { compareElement, finiteOrNull } from "./element.ts";
import { type ComparedShapes, compareShapes } from "./incomparable.ts";
import type { TensorComparison } from "./tensor-comparison.ts";

export interface CompareExactlyOptions extends ComparedShapes {
  readonly ours: ArrayLike<number>;
  readonly reference: ArrayLike<number>;
  /** Floats that must repeat bit by bit: a difference is called `bits`. Default: false, whole numbers: `value`. */
  readonly bits?: boolean;
}

/**
 * Compares two tensors that must be the same: -0 is not 0, NaN is NaN (whatever its payload), infinities are numbers like
 * others. `multiple` is 0 or null (infinite), `limit` is 0, and `mismatched` counts the elements that are not the same.
 *
 * @throws BridgeError "invalid-tensor" when a side's numbers do not fit its shape.
 */
export function compareExactly(options: CompareExactlyOptions): TensorComparison {
  const { name, shape, ours, reference, bits = false } = options;
  const differentShapes = compareShapes(options, ours, reference);
  if (differentShapes) return differentShapes;

  let [mismatched, worst, largest, differences, ourSquares, referenceSquares] = [0, 0, -1, 0, 0, 0];
  for (let index = 0; index < reference.length; index++) {
    const our = ours[index]!;
    const expected = reference[index]!;
    ourSquares += our * our;
    referenceSquares += expected * expected;
    if (Object.is(our, expected)) continue;
    mismatched++;
    const difference = Math.abs(our - expected);
    differences += difference * difference;
    // What is not a number is the worst, and the first of the worst stays.
    const badness = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
    if (badness > largest) {
      largest = badness;
      worst = index;
    }
  }
  const equal = mismatched === 0;
  const count = Math.max(reference.length, 1);
  return {
    name,
    shape: [...shape],
    equal,
    ...(!equal && { reason: bits ? "bits" : "value" }),
    ...(!equal &&
      (largest === 0 || largest === Number.POSITIVE_INFINITY) && { detail: written(ours[worst]!, reference[worst]!) }),
    sketched: false,
    zero: false,
    ...(reference.length > 0 && { worst: compareElement(worst, shape, ours[worst]!, reference[worst]!) }),
    rms: finiteOrNull(Math.sqrt(differences / count)),
    scale: finiteOrNull(Math.sqrt(referenceSquares / count)),
    mismatched,
    elements: reference.length,
    normRatio: finiteOrNull(Math.sqrt(ourSquares / referenceSquares)),
    multiple: equal ? 0 : null,
    limit: 0,
    requiredTolerance: equal ? 0 : null,
  };
}

/** Both values where their difference, 0 or infinite, does not tell them apart. */
function written(ours: number, reference: number): string {
  const [our, expected] = [ours, reference].map((value) => (Object.is(value, -0) ? "-0" : String(value)));
  return `ours ${our}, reference ${expected}`;
}
