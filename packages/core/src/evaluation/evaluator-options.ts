import { OptionError } from "../errors.ts";

/** Returns the value of an option that counts something. Throws OptionError unless it is a whole number from 1. */
export function checkCount(value: number, option: string, evaluator: string): number {
  if (Number.isInteger(value) && value >= 1) return value;
  throw new OptionError("invalid-option", `${evaluator}: ${option} is ${value}; expected a whole number from 1.`, {
    option,
    found: value,
  });
}

/** Returns a copy of the names. Throws OptionError unless each is one of `known`, there is one, and none twice. */
export function checkNames<Name extends string>(
  names: readonly Name[],
  known: readonly Name[],
  option: string,
  evaluator: string,
): readonly Name[] {
  if (names.length > 0 && names.every((name) => known.includes(name)) && new Set(names).size === names.length) {
    return [...names];
  }
  throw new OptionError(
    "invalid-option",
    `${evaluator}: ${option} is ${JSON.stringify(names)}; expected ${known.map((name) => `"${name}"`).join(" or ")}, each at most once.`,
    { option, found: names },
  );
}
