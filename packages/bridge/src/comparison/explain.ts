import type { TensorComparison } from "./tensor-comparison.ts";

/**
 * A comparison in one line for people: what differs most and where, in multiples of the noise floor, how much of the
 * tensor differs, what fault the norms name, and which tolerance would pass.
 */
export function explain(comparison: TensorComparison): string {
  return `${comparison.name}: ${comparison.equal ? equality(comparison) : difference(comparison)}`;
}

/**
 * The fault that norm ratio and cosine name: "a factor of 2", "a factor of 1/8", "the opposite sign", or the last two
 * together. Undefined where the two do not point in one direction, or the factor is no whole number and no reciprocal of
 * one.
 */
export function namedFactor({ zero, cosine, normRatio }: TensorComparison): string | undefined {
  if (zero || !cosine || !normRatio || Math.abs(cosine) < 0.9999) return undefined;
  const size = Math.max(normRatio, 1 / normRatio);
  const whole = Math.round(size);
  const isWhole = Math.abs(size / whole - 1) <= 1e-4;
  const sign = cosine < 0 ? "the opposite sign" : undefined;
  const factor = isWhole && whole > 1 ? `a factor of ${normRatio > 1 ? whole : `1/${whole}`}` : undefined;
  return [sign, factor].filter((part) => part !== undefined).join(" and ") || undefined;
}

function equality({ multiple, noise, limit, detail, worst }: TensorComparison): string {
  if (detail !== undefined) return `equal, ${detail}`;
  if (limit === 0) return "the same";
  const measure = noise ? `${magnitude(multiple ?? 0)} x noise (${limit} allowed)` : share(multiple ?? 0);
  return `equal, ${measure}${worst?.difference ? `; largest difference ${magnitude(worst.difference)}${place(worst)}` : ""}`;
}

function difference(comparison: TensorComparison): string {
  const { reason, detail, worst, zero, noise, rms, mismatched, elements } = comparison;
  if (reason === "missing" || reason === "shape") return detail!;
  if (reason === "not-finite") return `${detail}${worst ? place(worst) : ""}`;
  if (reason === "value" || reason === "bits") return inexact(comparison);

  const parts = [size(comparison)];
  if (zero) parts.push("the reference is zero but for rounding");
  if (mismatched) parts.push(`${percent(mismatched / elements)} of ${count(elements)} elements differ`);
  if (mismatched === 0 && noise)
    parts.push(
      `no element alone is beyond the limit, all together are: root mean square ${magnitude(rms!)}, noise ${magnitude(noise.rms)}`,
    );
  return [...parts, ...direction(comparison), ...requirement(comparison)].join("; ");
}

/** How much it differs, and where most. */
function size({ worst, sketched, rms, noise, multiple, limit }: TensorComparison): string {
  const measure = noise ? `${multiples(multiple)} x noise (${limit} allowed)` : share(multiple);
  if (sketched || !worst) return `its sketch differs by ${magnitude(rms ?? Number.POSITIVE_INFINITY)}, ${measure}`;
  const values = `ours ${number(worst.ours)}, reference ${number(worst.reference)}`;
  return `${number(worst.difference)}${place(worst)} (${values}), ${measure}`;
}

function inexact({ reason, detail, worst, mismatched, elements }: TensorComparison): string {
  if (!worst) return detail!;
  const what = reason === "bits" ? "not the same bit by bit" : "not the same";
  const values = detail ?? `ours ${worst.ours}, reference ${worst.reference}`;
  return `${what}${place(worst)} (${values}); ${percent((mismatched ?? 0) / elements)} of ${count(elements)} elements differ`;
}

function direction(comparison: TensorComparison): string[] {
  const { zero, cosine, normRatio } = comparison;
  if (zero || normRatio === null) return [];
  const named = namedFactor(comparison);
  const norms = `our norm is ${normRatio.toPrecision(4)} times the reference's`;
  return [
    ...(named || Math.abs(normRatio - 1) > 1e-3 ? [named ? `${norms}: ${named}` : norms] : []),
    ...(typeof cosine === "number" ? [`cosine ${cosine.toFixed(4)}`] : []),
  ];
}

function requirement({ requiredTolerance, sketched }: TensorComparison): string[] {
  if (sketched) return [];
  if (requiredTolerance === null) return ["no tolerance would pass"];
  // Rounded up: what is printed passes.
  const unit = 10 ** (Math.floor(Math.log10(requiredTolerance)) - 1);
  return [`a tolerance of ${magnitude(Math.ceil(requiredTolerance / unit) * unit)} would pass`];
}

function place({ position }: { readonly position: readonly number[] }): string {
  return position.length === 0 ? "" : ` at [${position.join(", ")}]`;
}

function share(multiple: number | null | undefined): string {
  return `${multiples(multiple)} x the tolerance`;
}

function multiples(multiple: number | null | undefined): string {
  return typeof multiple === "number" ? magnitude(multiple) : "infinitely many";
}

function number(value: number | null): string {
  return value === null ? "not finite" : magnitude(value, 3);
}

/** "0", "0.8", "12", "412", "3.2e-2" (0.032), "5.1e5": as many digits as say something. */
function magnitude(value: number, digits = 2): string {
  const size = Math.abs(value);
  if (size === 0 || !Number.isFinite(size) || (size >= 0.1 && size < 1000)) {
    return String(Number(value.toPrecision(Math.max(digits, size >= 100 ? 3 : 2))));
  }
  return value
    .toExponential(digits - 1)
    .replace(/\.?0+e/, "e")
    .replace("e+", "e");
}

/** "98 %", "0.4 %", "under 0.1 %". */
function percent(fraction: number): string {
  const value = fraction * 100;
  if (value > 0 && value < 0.1) return "under 0.1 %";
  return `${value > 99 && value < 100 ? "over 99" : Number(value.toPrecision(2))} %`;
}

function count(elements: number): string {
  return elements.toLocaleString("en-US");
}
