/** Seconds as a person reads them: "0.4 s", "7 s", "42 s", "2 min 05 s", "1 h 02 min". */
export function formatSeconds(seconds: number): string {
  if (seconds < 9.95 && !Number.isInteger(seconds)) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** A count with separators: "5,120". */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** A number with its unit in the right form: "1 step", "5,120 pairs". */
export function formatAmount(count: number, singular: string, plural: string = `${singular}s`): string {
  return `${formatCount(count)} ${count === 1 ? singular : plural}`;
}

/** A difference or a rate, of which the magnitude matters: "0", "3.1e-7", "5e-5", "NaN". */
export function formatMagnitude(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  return value.toExponential(1).replace(/\.0e/, "e").replace("e+", "e");
}

/**
 * A multiple of the noise floor in at most four characters: "0", "<0.1", "0.8", "12", "5e5". From 1e10 on, where only its
 * being wrong matters, and for null: "inf".
 */
export function formatMultiple(multiple: number | null): string {
  if (multiple === null || !(multiple < 9.5e9)) return "inf";
  if (multiple === 0) return "0";
  // What rounds to 0.0 is not 0.
  if (multiple < 0.05) return "<0.1";
  if (multiple < 9.95) return multiple.toFixed(1);
  return multiple < 999.5 ? multiple.toFixed(0) : multiple.toExponential(0).replace("e+", "e");
}

/** A change with its sign: "+0.0695". */
export function formatChange(value: number): string {
  const rounded = value.toFixed(4);
  if (Number(rounded) === 0) return "+0.0000";
  return value < 0 ? rounded : `+${rounded}`;
}

/** Bytes as megabytes: `3.2 MB`. */
export function formatMegabytes(bytes: number): string {
  const megabytes = bytes / 1e6;
  return `${megabytes.toFixed(megabytes < 10 ? 1 : 0)} MB`;
}
