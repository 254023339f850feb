/** What a number that is absent is shown as: there is nothing to say. */
export const absent = "–";

/**
 * A number as a person reads it: `0.0123`, `42.1`, `1.2e-7`, without digits that say nothing.
 *
 * @param digits Significant digits, 3 unless given; 9 tell any two float32 numbers apart.
 * @param missing Word for null.
 */
export function numberText(value: number | null | undefined, digits = 3, missing = "not finite"): string {
  if (value === undefined) return absent;
  if (value === null) return missing;
  // The largest doubles would be rounded to infinity.
  const rounded = Math.max(-Number.MAX_VALUE, Math.min(Number(value.toPrecision(digits)), Number.MAX_VALUE));
  const magnitude = Math.abs(rounded);
  const isPlain = magnitude === 0 || (magnitude >= 1e-3 && magnitude < 1e6);
  return isPlain ? String(rounded) : rounded.toExponential().replace("e+", "e");
}

/** A multiple of the noise floor: `0.4`, `42.1`, `1.2e5`, `∞`. */
export function multipleText(multiple: number | null | undefined): string {
  if (typeof multiple !== "number" || multiple < 1e4) return numberText(multiple, 3, "∞");
  return multiple.toExponential(1).replace("e+", "e");
}

/** A count with its unit: `1 step`, `5,120 tensors`. */
export function amountText(count: number, singular: string, plural = `${singular}s`): string {
  return `${count.toLocaleString("en-US")} ${count === 1 ? singular : plural}`;
}

/** A share of a whole: `12 of 768 (1.6 %)`. */
export function shareText(part: number, whole: number): string {
  const percent = whole === 0 ? 0 : (part / whole) * 100;
  return `${part.toLocaleString("en-US")} of ${whole.toLocaleString("en-US")} (${numberText(percent, 2)} %)`;
}

/** Seconds: `0.42 s`, `42 s`, `2 min 5 s`, `1 h 2 min`. */
export function secondsText(seconds: number): string {
  if (seconds < 59.5) return `${numberText(seconds, seconds < 10 ? 2 : 3)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds) % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A cosine; near 1, where faults are seen, as its distance from 1: `1 - 3.1e-9`. */
export function cosineText(cosine: number | null | undefined): string {
  if (cosine === undefined || cosine === null || cosine < 0.99) return numberText(cosine, 4, "one is zero");
  const distance = 1 - cosine;
  if (distance === 0) return "1";
  return `1 ${distance > 0 ? "-" : "+"} ${numberText(Math.abs(distance), 2)}`;
}
