import { InvalidArgumentError } from "commander";

const known = [
  "MultipleNegativesRankingLoss",
  "CachedMultipleNegativesRankingLoss",
  "PullRequest3612",
  "ContAccum",
] as const;

/** Checks what `--reference` was given: `path/to/file.py:ClassName`, or a class that gradbank_ref knows. */
export function checkReferenceClass(value: string): string {
  if ((known as readonly string[]).includes(value) || /^.+\.py:[A-Za-z_]\w*$/.test(value)) return value;
  throw new InvalidArgumentError(`Expected path/to/file.py:ClassName, or one of ${known.join(", ")}.`);
}

/**
 * Reads keyword arguments of the form `name=value`: numbers, true, false, null and lists in JSON, anything else as text.
 * @param assignments as `checkAssignment` lets them pass; a later one replaces an earlier one of the same name.
 */
export function parseKeywordArguments(assignments: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    assignments.map((assignment) => {
      const equals = assignment.indexOf("=");
      return [assignment.slice(0, equals), jsonOrText(assignment.slice(equals + 1))];
    }),
  );
}

/** A Python name and its value. */
export function checkKeywordArgument(value: string): string {
  if (/^[A-Za-z_]\w*=/.test(value)) return value;
  throw new InvalidArgumentError("Expected name=value with a name that Python allows, such as scale=10.");
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // What is not JSON is meant as text: paths and names need no quotes.
    return text;
  }
}
