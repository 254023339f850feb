import { GradbankError } from "@gradbank/core";

/**
 * What is wrong with a golden folder.
 *
 * - `golden-missing`: there is none, or it does not hold the case.
 * - `golden-damaged`: a file is missing, or is not as it was written.
 * - `golden-mismatch`: it was recorded from other settings, texts, dropout masks or learning rates.
 * - `golden-unfinished`: a case was recorded for some of its steps only.
 * - `golden-target`: it would replace a folder that holds something else.
 */
export type GoldenErrorCode =
  | "golden-missing"
  | "golden-damaged"
  | "golden-mismatch"
  | "golden-unfinished"
  | "golden-target";

/** A golden folder that cannot be written or used: names the folder, the case and what differs. */
export class GoldenError extends GradbankError {
  declare readonly code: GoldenErrorCode;
  constructor(code: GoldenErrorCode, message: string, facts: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(code, message, facts, options);
  }
}
