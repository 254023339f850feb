import { explain, namedFactor } from "../comparison/explain.ts";
import type { ElementComparison, TensorComparison } from "../comparison/tensor-comparison.ts";
import { absent, amountText, cosineText, multipleText, numberText, shareText } from "./number-text.ts";
import type { StageReport } from "./parity-report.ts";

/** Why a tensor is not equal, in words. */
const reasonText: Readonly<Record<NonNullable<TensorComparison["reason"]>, string>> = {
  noise: "beyond rounding",
  tolerance: "beyond the tolerance",
  "not-finite": "not finite on one side",
  shape: "other shape",
  missing: "missing on one side",
  bits: "not the same bit by bit",
  value: "other value",
};

/** The verdict on a tensor in words: `equal`, `beyond rounding`, with the detail where there is one. */
export function tensorVerdict({ equal, reason, detail }: TensorComparison): string {
  const verdict = equal ? "equal" : reason === undefined ? "different" : reasonText[reason];
  return detail === undefined ? verdict : `${verdict}: ${detail}`;
}

/**
 * `42.1 times the noise floor`, or the tolerance where no noise was measured. Undefined where there is no such number: it
 * is infinite, or the two were to be the same.
 */
export function distanceText({ multiple, noise, limit }: TensorComparison): string | undefined {
  if (typeof multiple !== "number" || limit === 0) return undefined;
  return `${multipleText(multiple)} times the ${noise === undefined ? "tolerance" : "noise floor"}`;
}

/** Our norm over the reference's, with the fault that it names: `0.5, a factor of 1/2`. */
function normRatioText(tensor: TensorComparison): string {
  const { normRatio, equal } = tensor;
  if (normRatio === null) return "reference is zero";
  const named = equal ? undefined : namedFactor(tensor);
  return `${numberText(normRatio, 7)}${named === undefined ? "" : `, ${named}`}`;
}

/** `[1, 17]`; `[]` for a scalar. */
export function listText(values: readonly number[]): string {
  return `[${values.join(", ")}]`;
}

/** An element on both sides: `[1, 17]: ours 0.5, reference 0.25, difference 0.25`. */
export function elementText({ position, ours, reference, difference }: ElementComparison): string {
  const values = [`ours ${numberText(ours, 9)}`, `reference ${numberText(reference, 9)}`];
  return `${listText(position)}: ${[...values, `difference ${numberText(difference)}`].join(", ")}`;
}

/** Everything known of a tensor that differs, in one line. */
export function tensorLine(tensor: TensorComparison): string {
  const { name, shape, limit, worst, mismatched, elements, cosine, ulp, requiredTolerance } = tensor;
  const distance = distanceText(tensor);
  const ulps = ulp && `ULP p50 ${numberText(ulp.p50)}, p99 ${numberText(ulp.p99)}, max ${numberText(ulp.max)}`;
  return [
    `${name} ${listText(shape)}: ${tensorVerdict(tensor)}`,
    distance && `${distance} (limit ${numberText(limit)})`,
    worst && `worst at ${elementText(worst)}`,
    mismatched !== undefined && `${shareText(mismatched, elements)} beyond the limit`,
    cosine !== undefined && `cosine ${cosineText(cosine)}`,
    `norm ratio ${normRatioText(tensor)}`,
    ulps,
    `would pass with tolerance ${numberText(requiredTolerance, 3, "none")}`,
  ]
    .filter((part) => typeof part === "string")
    .join("; ");
}

/** Tensors by how far they are from equal, the farthest first. */
export function worstFirst(tensors: readonly TensorComparison[]): TensorComparison[] {
  const distance = ({ equal, multiple, limit }: TensorComparison) => {
    if (multiple === undefined) return equal ? 0 : Number.MAX_VALUE;
    return multiple === null ? Number.MAX_VALUE : Math.min(multiple / limit || 0, Number.MAX_VALUE);
  };
  return [...tensors].sort((a, b) => Number(a.equal) - Number(b.equal) || distance(b) - distance(a));
}

/** What is wrong with a stage, in one line. */
export function stageLine({ stage, worst, tensors, compared }: StageReport): string {
  const different = tensors.filter(({ equal }) => !equal).length;
  const tensor = tensors.find(({ name }) => name === worst);
  const count = `${different.toLocaleString("en-US")} of ${amountText(compared, "tensor")} ${different === 1 ? "differs" : "differ"}`;
  return `${stage}: ${count}; worst is ${tensor === undefined ? worst : explain(tensor)}`;
}

/** Headings of `tensorCells`. */
export const tensorColumns = [
  "Tensor",
  "Shape",
  "Result",
  "Multiple",
  "Limit",
  "Worst at",
  "Ours",
  "Reference",
  "Difference",
  "Worst relative",
  "Mismatched",
  "Cosine",
  "Norm ratio",
  "ULP 50 % / 99 % / max",
  "Rms of difference",
  "Rms of reference",
  "Noise max / rms",
  "Passes with",
] as const;

/** Everything known of a tensor, one text a column of `tensorColumns`. */
export function tensorCells(tensor: TensorComparison): string[] {
  const { worst, worstRelative, relative, mismatched, ulp, noise } = tensor;
  const flags = [...(tensor.sketched ? ["by its sketch"] : []), ...(tensor.zero ? ["zero but for rounding"] : [])];
  return [
    tensor.name,
    listText(tensor.shape),
    [tensorVerdict(tensor), ...flags].join("; "),
    multipleText(tensor.multiple),
    numberText(tensor.limit),
    worst === undefined ? absent : listText(worst.position),
    numberText(worst?.ours, 9),
    numberText(worst?.reference, 9),
    numberText(worst?.difference),
    worstRelative === undefined
      ? multipleText(relative)
      : `${multipleText(relative)} at ${listText(worstRelative.position)}`,
    mismatched === undefined ? absent : shareText(mismatched, tensor.elements),
    cosineText(tensor.cosine),
    normRatioText(tensor),
    ulp === undefined ? absent : [ulp.p50, ulp.p99, ulp.max].map((value) => numberText(value)).join(" / "),
    numberText(tensor.rms),
    numberText(tensor.scale),
    noise === undefined ? absent : `${numberText(noise.max, 2)} / ${numberText(noise.rms, 2)}`,
    numberText(tensor.requiredTolerance, 3, "no tolerance"),
  ];
}
