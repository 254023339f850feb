import { GradbankError } from "@gradbank/core";

/**
 * What went wrong in a command.
 *
 * - `model-unavailable`: no model was named, and neither Python nor the hub could give the default one.
 * - `too-few-rows`: the data cannot be split into training and test rows.
 * - `output-folder-unusable`: the output folder cannot be used, or holds things that are not of a run.
 */
export type CommandErrorCode = "model-unavailable" | "too-few-rows" | "output-folder-unusable";

/** A command that cannot do what was asked: says what was given and what to do next. */
export class CommandError extends GradbankError {
  declare readonly code: CommandErrorCode;
  constructor(code: CommandErrorCode, message: string, facts: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(code, message, facts, options);
  }
}
