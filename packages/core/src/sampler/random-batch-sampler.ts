import { torchRandperm } from "../random/mersenne-twister.ts";
import {
  type BatchSampler,
  checkEpoch,
  checkSamplerOptions,
  countBatches,
  cutIntoBatches,
  type RandomBatchSamplerOptions,
} from "./batch-sampler.ts";

/**
 * Shuffles all rows each epoch and cuts them into batches: the batches of sentence-transformers' trainer with
 * `batch_sampler="batch_sampler"` on one device. There accelerate reseeds the sampler's generator with `seed + epoch`
 * before `torch.randperm(rows)`.
 */
export class RandomBatchSampler implements BatchSampler {
  readonly length: number;
  readonly #rows: number;
  readonly #batchSize: number;
  readonly #dropLast: boolean;
  readonly #seed: number;

  /** @param rows The rows of the data set. Throws OptionError when an option cannot be used. */
  constructor(rows: number, options: RandomBatchSamplerOptions) {
    const { batchSize, dropLast = false, seed = 42 } = options;
    checkSamplerOptions(rows, batchSize, seed, "RandomBatchSampler");
    this.#rows = rows;
    this.#batchSize = batchSize;
    this.#dropLast = dropLast;
    this.#seed = seed;
    this.length = countBatches(rows, batchSize, dropLast);
  }

  batches(epoch: number): Iterable<Int32Array> {
    checkEpoch(epoch, "RandomBatchSampler.batches");
    return cutIntoBatches(torchRandperm(this.#rows, this.#seed + epoch), this.#batchSize, this.#dropLast);
  }
}
