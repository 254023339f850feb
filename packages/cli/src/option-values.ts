import { InvalidArgumentError, Option } from "commander";

/** An option whose default is filled in elsewhere: here it is only told. */
export function option(flags: string, description: string, told: string | number): Option {
  return new Option(flags, `${description} (default: ${told})`);
}

/** An option that can be given many times. Its value is the list of all; undefined when it is not given. */
export function repeatable(flags: string, description: string, check: (value: string) => string = nonEmpty): Option {
  return new Option(flags, `${description}; repeatable`).argParser<readonly string[]>((value, former) => [
    ...(former ?? []),
    check(value),
  ]);
}

/** A whole number from 1 to 2^31 - 1. */
export function parseCount(value: string): number {
  const count = Number(value);
  if (/^\d+$/.test(value) && count >= 1 && count <= 0x7fff_ffff) return count;
  throw new InvalidArgumentError("Expected a whole number of at least 1.");
}

/** A number above 0 and at most 1. */
export function parseRate(value: string): number {
  const rate = Number(value);
  if (value.trim() !== "" && Number.isFinite(rate) && rate > 0 && rate <= 1) return rate;
  throw new InvalidArgumentError("Expected a number above 0 and at most 1, such as 1e-4.");
}

/** A text such as `loss.scale=10`: a name, dots allowed, and what it is set to. */
export function checkAssignment(value: string): string {
  if (/^[^\s=.]+(\.[^\s=.]+)*=/.test(value)) return value;
  throw new InvalidArgumentError("Expected name=value, such as loss.scale=10.");
}

/** Any text but none: `--report ""` comes from a variable that was not set. */
export function nonEmpty(value: string): string {
  if (value.trim() !== "") return value;
  throw new InvalidArgumentError("Expected a text that is not empty.");
}
