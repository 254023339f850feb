import { GradbankError } from "@gradbank/core";

/**
 * The benchmark cannot go on.
 *
 * - `too-few-rows`: the data set is too small for the batches and the evaluation.
 * - `too-few-columns`: the data set has no pairs.
 * - `memory-unavailable`: the system does not tell the peak memory of a process.
 * - `worker-ended`: the process that trains ended before it answered.
 * - `worker-failed`: the process that trains answered with an error.
 */
export class BenchmarkError extends GradbankError {}
