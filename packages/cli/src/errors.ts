import { GradbankError } from "@gradbank/core";

/**
 * What went wrong in a command.
 *
 * - `model-unavailable`: no model was named, and neither Python nor the hub could give the default one.
 * - `too-few-rows`: the data cannot be split into training and test rows.
 * - `output-folder-unusable`: the output folder cannot be used, or holds things that are not of a run.
 * - `unknown-suite`: no suite of that name ships, and there is no such file.
 * - `suites-of-one-name`: two suites would be told apart by nothing.
 * - `no-such-case`: no case has a name that was asked for.
 * - `server-failed`: Python's server ended by itself.
 */
export type CommandErrorCode =
  | "model-unavailable"
  | "too-few-rows"
  | "output-folder-unusable"
  | "unknown-suite"
  | "suites-of-one-name"
  | "no-such-case"
  | "server-failed";

/** A command that cannot do what was asked: says what was given and what to do next. */
export class CommandError extends GradbankError {
  declare readonly code: CommandErrorCode;
  constructor(code: CommandErrorCode, message: string, facts: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(code, message, facts, options);
  }
}
