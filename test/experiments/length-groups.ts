import { type BatchSampler, type Dataset, GivenBatchSampler, NoDuplicatesBatchSampler } from "@gradbank/core";

/**
 * Rows in ascending order of length, cut into batches: rows of one batch are of like length, and padding is little.
 *
 * @param lengths length of each row of `rows`
 */
export function groupByLength(rows: ArrayLike<number>, lengths: readonly number[], batchSize: number): Int32Array[] {
  const order = Array.from(lengths.keys()).sort((a, b) => lengths[a]! - lengths[b]! || a - b);
  const groups: Int32Array[] = [];
  for (let start = 0; start < order.length; start += batchSize)
    groups.push(Int32Array.from(order.slice(start, start + batchSize), (place) => rows[place]!));
  return groups;
}

/**
 * Takes the rows of each update as NO_DUPLICATES draws them, and groups them by length into the update's batches: the
 * update sees the same rows as one batch of them all would.
 *
 * @param measure length of a row's texts together
 */
export async function lengthGroupedSampler(
  dataset: Dataset,
  options: {
    readonly batchSize: number;
    readonly batchesPerUpdate: number;
    readonly updates: number;
    readonly seed: number;
    readonly measure: (texts: readonly string[]) => number;
  },
): Promise<BatchSampler> {
  const { batchSize, batchesPerUpdate, updates, seed, measure } = options;
  const sampler = await NoDuplicatesBatchSampler.create(dataset, { batchSize: batchSize * batchesPerUpdate, seed });
  const batches: Int32Array[] = [];
  let done = 0;
  for (const rows of sampler.batches(0)) {
    if (done++ === updates) break;
    const lengths = (await dataset.readRows(rows)).map(measure);
    batches.push(...groupByLength(rows, lengths, batchSize));
  }
  return new GivenBatchSampler(batches);
}
