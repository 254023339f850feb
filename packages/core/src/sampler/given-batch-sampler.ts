import { OptionError } from "../errors.ts";
import { type BatchSampler, checkEpoch } from "./batch-sampler.ts";

/** Takes batches that are given, the same in every epoch: to repeat the batches of another run, step by step. */
export class GivenBatchSampler implements BatchSampler {
  readonly length: number;
  readonly #batches: readonly Int32Array[];

  /** @param batches The rows of each batch. Throws OptionError for a batch without rows or a row that is none. */
  constructor(batches: readonly ArrayLike<number>[]) {
    for (const [index, batch] of batches.entries()) {
      const wrong = Array.from(batch).find((row) => !Number.isInteger(row) || row < 0 || row >= 2 ** 31);
      if (batch.length === 0 || wrong !== undefined) {
        throw new OptionError(
          "invalid-option",
          `GivenBatchSampler: batch ${index} ${wrong === undefined ? "has no rows" : `holds ${wrong}`}; expected row numbers from 0.`,
          { batch: index, found: wrong },
        );
      }
    }
    this.#batches = batches.map((batch) => Int32Array.from(batch));
    this.length = batches.length;
  }

  *batches(epoch: number): Iterable<Int32Array> {
    checkEpoch(epoch, "GivenBatchSampler.batches");
    for (const batch of this.#batches) yield batch.slice();
  }
}
