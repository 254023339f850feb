import { z } from "zod";

/** One element on both sides. */
export const elementSchema = z.strictObject({
  index: z.int().min(0).describe("Place in the flat, row-major tensor."),
  position: z.array(z.int().min(0)).describe("The same as one index an axis."),
  ours: z.number().nullable().describe("Our number; null where it is missing or not finite."),
  reference: z.number().nullable().describe("The reference's number; null where it is missing or not finite."),
  difference: z.number().nullable().describe("|ours - reference|; null where a number is missing or not finite."),
});
export type ElementComparison = z.infer<typeof elementSchema>;

/**
 * Why a tensor does not count as equal.
 *
 * - `noise`: it differs by more than the allowed multiple of the reference's own rounding.
 * - `tolerance`: there was no noise to measure by, and it differs by more than the fixed tolerance.
 * - `not-finite`: a number is NaN or infinite, on one side or on both: there is nothing to compare.
 * - `shape`: the two have different shapes.
 * - `missing`: one side does not have it.
 * - `bits`: it was to be the same bit by bit and is not.
 * - `value`: whole numbers or text that were to be the same are not.
 */
export const reasons = ["noise", "tolerance", "not-finite", "shape", "missing", "bits", "value"] as const;

/** How one tensor of ours compares with the reference's. Everything but the verdict is told whatever the verdict is. */
export const tensorComparisonSchema = z.strictObject({
  name: z.string(),
  shape: z.array(z.int().min(0)),
  equal: z.boolean(),
  reason: z.enum(reasons).optional(),
  detail: z
    .string()
    .optional()
    .describe("The reason in words, where numbers do not say it: two values of a fact, two shapes."),
  sketched: z.boolean().describe("Judged by its sketch: the elements were not sent, and what needs them is absent."),
  zero: z
    .boolean()
    .describe(
      "The reference is zero but for rounding (gradients of attention key biases): ours must be rounding as well.",
    ),
  worst: elementSchema.optional().describe("Element with the largest absolute difference."),
  worstRelative: elementSchema
    .optional()
    .describe("Element with the largest difference in relation to the reference's magnitude."),
  relative: z.number().nullable().optional().describe("Largest relative difference; null when infinite."),
  rms: z.number().nullable().describe("Root mean square of the differences; null when not finite."),
  scale: z.number().nullable().describe("Root mean square of the reference."),
  mismatched: z.int().min(0).optional().describe("Elements that differ by more than the limit."),
  elements: z.int().min(0),
  cosine: z.number().nullable().optional().describe("Cosine of the angle between the two; null when one is zero."),
  normRatio: z
    .number()
    .nullable()
    .describe(
      "Our norm over the reference's: 2, 1/2 or the number of ranks names a fault. null when the reference is zero.",
    ),
  ulp: z
    .strictObject({ p50: z.number(), p99: z.number(), max: z.number() })
    .optional()
    .describe("Percentiles of the differences in units of the last place of float32 at the reference's magnitude."),
  noise: z
    .strictObject({ max: z.number(), rms: z.number() })
    .optional()
    .describe("The noise floor that was used: the reference's measured rounding, with the guards of noise-floor.ts."),
  multiple: z
    .number()
    .nullable()
    .optional()
    .describe(
      "The difference as a multiple of the noise floor: the larger of those of max and rms. null when infinite.",
    ),
  limit: z.number().describe("Largest multiple, or without noise the fixed tolerance's share 1, that counts as equal."),
  requiredTolerance: z
    .number()
    .nullable()
    .describe("Smallest t with |ours - reference| <= t * (scale + |reference|) everywhere. null when none is."),
});
export type TensorComparison = z.infer<typeof tensorComparisonSchema>;
