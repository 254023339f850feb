import { OptionError } from "../errors.ts";
import { checkSeed } from "../random/mersenne-twister.ts";

/** Says which rows of a data set make up each batch of an epoch. */
export interface BatchSampler {
  /**
   * The batches of an epoch: the trainer counts steps with it and stops an epoch after so many, also when `batches`
   * has more.
   */
  readonly length: number;
  /**
   * The batches of an epoch, each the rows of one batch in order. The same epoch always gives the same batches, so that
   * epoch and batch number are all the state a checkpoint needs.
   *
   * @param epoch From 0.
   */
  batches(epoch: number): Iterable<Int32Array>;
}

export interface BatchSamplerOptions {
  /** Rows of a batch. */
  batchSize: number;
  /** Whether a last batch with fewer rows is left out. Default false. */
  dropLast?: boolean;
}

export interface RandomBatchSamplerOptions extends BatchSamplerOptions {
  /** Seed of the shuffle; epoch e draws with `seed + e`. Default 42, as in the Hugging Face Trainer. */
  seed?: number;
}

/** ceil(rows / batchSize), or its floor with `dropLast`. */
export function countBatches(rows: number, batchSize: number, dropLast: boolean): number {
  return dropLast ? Math.floor(rows / batchSize) : Math.ceil(rows / batchSize);
}

/** Throws OptionError unless rows, batch size and seed can be used. */
export function checkSamplerOptions(rows: number, batchSize: number, seed: number, where: string): void {
  checkWholeNumber(rows, 0, "rows", where);
  checkWholeNumber(batchSize, 1, "batchSize", where);
  checkSeed(seed, where);
}

/** Throws OptionError unless the epoch is a whole number from 0. */
export function checkEpoch(epoch: number, where: string): void {
  checkWholeNumber(epoch, 0, "epoch", where);
}

/** Cuts an order of rows into batches. */
export function* cutIntoBatches(order: Int32Array, batchSize: number, dropLast: boolean): Generator<Int32Array> {
  for (let start = 0; start < order.length; start += batchSize) {
    if (dropLast && start + batchSize > order.length) return;
    yield order.slice(start, start + batchSize);
  }
}

function checkWholeNumber(value: number, lowest: number, option: string, where: string): void {
  if (Number.isInteger(value) && value >= lowest && value < 2 ** 31) return;
  throw new OptionError(
    "invalid-option",
    `${where}: ${option} is ${value}; expected a whole number from ${lowest} to ${2 ** 31 - 1}.`,
    { option, found: value },
  );
}
