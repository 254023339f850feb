import { GradbankError } from "@gradbank/core";

/**
 * An experiment cannot go on.
 *
 * - `unknown-experiment`, `unknown-arm`: no such name; the message lists those that exist.
 * - `data-missing`: the experiment's data is not on this machine and was not given.
 * - `run-failed`: the process of a run ended with an error.
 * - `invalid-run-file`: a kept result cannot be read.
 */
export class ExperimentError extends GradbankError {}
