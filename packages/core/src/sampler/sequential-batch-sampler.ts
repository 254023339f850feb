import {
  type BatchSampler,
  type BatchSamplerOptions,
  checkEpoch,
  checkSamplerOptions,
  countBatches,
  cutIntoBatches,
} from "./batch-sampler.ts";

/** Takes the rows in the order of the data set, the same in every epoch. */
export class SequentialBatchSampler implements BatchSampler {
  readonly length: number;
  readonly #rows: number;
  readonly #batchSize: number;
  readonly #dropLast: boolean;

  /** @param rows The rows of the data set. Throws OptionError when an option cannot be used. */
  constructor(rows: number, options: BatchSamplerOptions) {
    const { batchSize, dropLast = false } = options;
    checkSamplerOptions(rows, batchSize, 0, "SequentialBatchSampler");
    this.#rows = rows;
    this.#batchSize = batchSize;
    this.#dropLast = dropLast;
    this.length = countBatches(rows, batchSize, dropLast);
  }

  batches(epoch: number): Iterable<Int32Array> {
    checkEpoch(epoch, "SequentialBatchSampler.batches");
    const order = Int32Array.from({ length: this.#rows }, (_, row) => row);
    return cutIntoBatches(order, this.#batchSize, this.#dropLast);
  }
}
