import { GradbankError } from "../errors.ts";

/**
 * What is wrong with a configuration.
 *
 * - `unreadable-file`: it is missing, a folder, not UTF-8, or may not be read.
 * - `invalid-syntax`: it is neither YAML nor JSON.
 * - `invalid-override`: an override is not of the form `name=value`, or has no place to go to.
 * - `invalid-configuration`: a field is unknown or missing, or its value cannot be used.
 */
export type ConfigurationErrorCode =
  | "unreadable-file"
  | "invalid-syntax"
  | "invalid-override"
  | "invalid-configuration";

/** Where a value of a configuration was written. */
export interface ConfigurationPlace {
  /** `file:line:column`, or `override name=value`. */
  readonly place: string;
  /** From 1; absent for an override. */
  readonly line?: number;
  /** From 1; absent for an override. */
  readonly column?: number;
}

/** One mistake in a configuration. */
export interface ConfigurationProblem extends ConfigurationPlace {
  /** The field, its parents before it, joined by dots; empty for the file as a whole. */
  readonly path: string;
  /** What was given, what is allowed, and the name that was probably meant. */
  readonly message: string;
}

/** A configuration that cannot be used, with all its mistakes and their places. */
export class ConfigurationError extends GradbankError {
  declare readonly code: ConfigurationErrorCode;

  constructor(
    code: ConfigurationErrorCode,
    file: string,
    problems: readonly ConfigurationProblem[],
    options?: ErrorOptions,
  ) {
    const lines = problems.map(({ place, message }) => `${place}: ${message}`);
    super(
      code,
      lines.length === 1 ? lines[0]! : `${file} has ${lines.length} mistakes:\n  ${lines.join("\n  ")}`,
      { file, problems },
      options,
    );
  }

  /** All mistakes, in the order of the file. */
  get problems(): readonly ConfigurationProblem[] {
    return this.facts.problems as readonly ConfigurationProblem[];
  }
}
