import type { z } from "zod";
import { closestName } from "../trainer/arguments.ts";
import { describeField } from "./configuration-json-schema.ts";
import { type ConfigurationPath, isMapping, showPath, valueAt } from "./configuration-path.ts";
import type { ConfigurationPlace, ConfigurationProblem } from "./errors.ts";

type Issue = z.core.$ZodIssue;

/** What the issues of a value are told with. */
export interface ProblemContext {
  /** The value that was checked. */
  readonly value: unknown;
  /** JSON schema of what was expected. */
  readonly schema: Record<string, unknown>;
  /** Where the value at a path was written. */
  readonly locate: (path: ConfigurationPath) => ConfigurationPlace;
  /** Where the name at a path was written. */
  readonly locateName: (path: ConfigurationPath) => ConfigurationPlace;
}

/** Tells zod's issues as people want to read them: one problem a field, in the order of the file. */
export function configurationProblems(issues: readonly Issue[], context: ProblemContext): ConfigurationProblem[] {
  return issues
    .flatMap((issue) => problemsOf(issue, [], context))
    .sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}

function problemsOf(issue: Issue, parent: readonly PropertyKey[], context: ProblemContext): ConfigurationProblem[] {
  const path = [...parent, ...issue.path] as (string | number)[];
  const value = valueAt(context.value, path);
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownName([...path, key], context));
  if (issue.code === "invalid_union") {
    const branch = closestBranch(issue.errors);
    if (branch !== undefined) return branch.flatMap((inner) => problemsOf(inner, path, context));
  }
  const { description, isWhole } = describeField(context.schema, path);
  const expected = expectation(issue, isWhole);
  const meaning = description === undefined ? "" : ` (${description})`;
  const name = showPath(path) || "the file";
  if (value === undefined && issue.code !== "custom") {
    const message = `${name} is missing; expected ${expected}.${meaning}`;
    return [{ ...context.locate(path), path: showPath(path), message }];
  }
  const meant = issue.code === "invalid_value" && typeof value === "string" ? suggestion(value, issue.values) : "";
  const message =
    issue.code === "custom"
      ? `${name}${value === undefined ? "" : ` is ${showGiven(value)}`}: ${issue.message}`
      : `${name} is ${showGiven(value)}; expected ${expected}.${meant}${meaning}`;
  return [{ ...context.locate(path), path: showPath(path), message }];
}

function unknownName(path: (string | number)[], context: ProblemContext): ConfigurationProblem {
  const { names = [] } = describeField(context.schema, path.slice(0, -1));
  const name = String(path.at(-1));
  const known = names.length > 0 ? ` Known here: ${names.join(", ")}.` : "";
  return {
    ...context.locateName(path),
    path: showPath(path),
    message: `${showPath(path)} (given: ${showGiven(valueAt(context.value, path))}) is not known.${suggestion(name, names)}${known}`,
  };
}

function suggestion(name: string, known: readonly unknown[]): string {
  const closest = closestName(
    name,
    known.filter((candidate) => typeof candidate === "string"),
  );
  return closest === undefined ? "" : ` Did you mean ${closest}?`;
}

/** The alternative with the fewest issues, of those that the value is of the kind of; undefined where there is none. */
function closestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const count = (issues: readonly Issue[]) =>
    issues.reduce((sum, issue) => sum + (issue.code === "unrecognized_keys" ? issue.keys.length : 1), 0);
  return branches.filter((issues) => !issues.some(isOfAnotherKind)).sort((a, b) => count(a) - count(b))[0];
}

function isOfAnotherKind(issue: Issue): boolean {
  return issue.path.length === 0 && (issue.code === "invalid_type" || issue.code === "invalid_value");
}

const kinds: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "names with values",
  record: "names with values",
  null: "null",
};

function expectation(issue: Issue, isWhole: boolean): string {
  switch (issue.code) {
    case "invalid_type":
      return isWhole && issue.expected === "number" ? kinds.int! : (kinds[issue.expected] ?? issue.expected);
    case "invalid_value":
      return `${issue.values.length > 1 ? "one of " : ""}${issue.values.map(String).join(", ")}`;
    case "too_small":
      return limit(issue.origin, isWhole, issue.inclusive === false ? "more than" : "at least", issue.minimum);
    case "too_big":
      return limit(issue.origin, isWhole, issue.inclusive === false ? "less than" : "at most", issue.maximum);
    case "invalid_union":
      return listOfKinds(issue.errors.flat().filter(isOfAnotherKind), isWhole) || issue.message;
    default:
      return issue.message;
  }
}

function listOfKinds(issues: readonly Issue[], isWhole: boolean): string {
  return [...new Set(issues.map((issue) => expectation(issue, isWhole)))].join(", or ");
}

function limit(origin: string, isWhole: boolean, relation: string, bound: number | bigint): string {
  if (origin === "string") return `${relation} ${bound} characters`;
  if (origin === "array" || origin === "set") return `${relation} ${bound} entries`;
  return `a ${isWhole ? "whole " : ""}number of ${relation} ${bound}`;
}

/** A given value, shortened. */
function showGiven(value: unknown): string {
  if (typeof value === "number") return String(value);
  if (isMapping(value) && Object.keys(value).length === 0) return "without fields";
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}
