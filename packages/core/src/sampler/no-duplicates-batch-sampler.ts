import type { Dataset } from "../data/dataset.ts";
import { MersenneTwister } from "../random/mersenne-twister.ts";
import {
  type BatchSampler,
  checkEpoch,
  checkSamplerOptions,
  countBatches,
  type RandomBatchSamplerOptions,
} from "./batch-sampler.ts";
import { findRepeatedValues, type RepeatedValues } from "./repeated-values.ts";

const extraPasses = 2;

/**
 * Makes batches in which no text occurs twice, in any column: a text that is another row's positive would be wrong as a
 * negative. The batches are those of sentence-transformers 6.2 `BatchSamplers.NO_DUPLICATES`.
 *
 * An epoch draws `torch.randperm(rows)` with `seed + epoch`. Each batch takes, in that order, the remaining rows that
 * share no text with the rows it has, until it is full. Batches that cannot be filled are emitted too, so that there may
 * be more than `length`; with `dropLast` they are left out, and up to two more shuffles of all rows fill up to `length`
 * batches (a process warning with the code GRADBANK_FEW_BATCHES says how many).
 */
export class NoDuplicatesBatchSampler implements BatchSampler {
  readonly length: number;
  readonly #rows: number;
  readonly #batchSize: number;
  readonly #dropLast: boolean;
  readonly #seed: number;
  readonly #repeated: RepeatedValues;
  #hasWarned = false;

  private constructor(rows: number, repeated: RepeatedValues, options: Required<RandomBatchSamplerOptions>) {
    this.#rows = rows;
    this.#repeated = repeated;
    this.#batchSize = options.batchSize;
    this.#dropLast = options.dropLast;
    this.#seed = options.seed;
    this.length = countBatches(rows, options.batchSize, options.dropLast);
  }

  /** Reads the data set once to find the texts that several rows share. Throws OptionError for an unusable option. */
  static async create(dataset: Dataset, options: RandomBatchSamplerOptions): Promise<NoDuplicatesBatchSampler> {
    const { batchSize, dropLast = false, seed = 42 } = options;
    checkSamplerOptions(dataset.length, batchSize, seed, "NoDuplicatesBatchSampler");
    return new NoDuplicatesBatchSampler(dataset.length, await findRepeatedValues(dataset), {
      batchSize,
      dropLast,
      seed,
    });
  }

  *batches(epoch: number): Iterable<Int32Array> {
    checkEpoch(epoch, "NoDuplicatesBatchSampler.batches");
    const generator = new MersenneTwister(this.#seed + epoch);
    let emitted = 0;
    for (const batch of this.#pass(generator)) {
      yield batch;
      emitted++;
    }
    if (emitted >= this.length) return;
    const emittedFirst = emitted;
    // Without a full batch in the first pass, another shuffle has hardly better prospects.
    for (let pass = 0; pass < extraPasses && emittedFirst > 0; pass++) {
      for (const batch of this.#pass(generator)) {
        yield batch;
        emitted++;
        if (emitted >= this.length) {
          this.#warn(epoch, emittedFirst, emitted);
          return;
        }
      }
    }
    this.#warn(epoch, emittedFirst, emitted);
  }

  /** One shuffle of all rows, cut into batches. */
  *#pass(generator: MersenneTwister): Generator<Int32Array> {
    const order = generator.permutation(this.#rows);
    const { batchOfPosition, sizes } = assignBatches(order, this.#batchSize, this.#repeated);
    const starts = new Int32Array(sizes.length + 1);
    for (let batch = 0; batch < sizes.length; batch++) starts[batch + 1] = starts[batch]! + sizes[batch]!;
    const rows = new Int32Array(order.length);
    const next = starts.slice();
    for (let position = 0; position < order.length; position++) {
      rows[next[batchOfPosition[position]!]!++] = order[position]!;
    }
    for (let batch = 0; batch < sizes.length; batch++) {
      if (this.#dropLast && sizes[batch]! < this.#batchSize) continue;
      yield rows.slice(starts[batch], starts[batch + 1]);
    }
  }

  #warn(epoch: number, emittedFirst: number, emitted: number): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    const isShort = emitted < this.length;
    process.emitWarning(
      `NoDuplicatesBatchSampler: one shuffle of ${this.#rows} rows gave ${emittedFirst} full batches of ${this.#batchSize} in epoch ${epoch}; ${this.length} were expected. ${
        emitted > emittedFirst ? `${emitted - emittedFirst} more repeat rows of this epoch. ` : ""
      }${isShort ? `${this.length - emitted} are missing: too few texts are different for this batch size. ` : ""}Lower batchSize, or set dropLast to false.`,
      { type: "GradbankWarning", code: "GRADBANK_FEW_BATCHES" },
    );
  }
}

/**
 * Puts each row, in order, into the first batch that has room and shares no value with it.
 *
 * That equals filling batch after batch by scanning the remaining rows: a batch takes a row when it has room and none of
 * the rows before it in the order, which are the only ones it can have by then, shares a value. Row by row, no row is
 * looked at again for every batch that it has to pass by.
 */
function assignBatches(
  order: Int32Array,
  batchSize: number,
  { count, rowStarts, values, valueStarts }: RepeatedValues,
): { batchOfPosition: Int32Array; sizes: number[] } {
  const sizes: number[] = [];
  const batchOfPosition = new Int32Array(order.length);
  const room = new NextWithRoom();
  // The batches that hold value v, ascending, lie in held[valueStarts[v]] ... for heldCounts[v] places.
  const held = new Int32Array(values.length);
  const heldCounts = new Int32Array(count);
  // No batch below firstFree[v] both has room and lacks value v.
  const firstFree = new Int32Array(count);

  const holds = (value: number, batch: number): boolean => {
    const place = findPlace(held, valueStarts[value]!, heldCounts[value]!, batch);
    return place < valueStarts[value]! + heldCounts[value]! && held[place] === batch;
  };

  for (let position = 0; position < order.length; position++) {
    const row = order[position]!;
    const start = rowStarts[row]!;
    const end = rowStarts[row + 1]!;
    let batch = room.from(0);
    for (let cell = start; cell < end; cell++) {
      const value = values[cell]!;
      let free = room.from(firstFree[value]!);
      while (holds(value, free)) free = room.from(free + 1);
      firstFree[value] = free;
      if (free > batch) batch = free;
    }
    for (let cell = start; cell < end; ) {
      if (holds(values[cell]!, batch)) {
        batch = room.from(batch + 1);
        cell = start;
      } else {
        cell++;
      }
    }

    batchOfPosition[position] = batch;
    for (let cell = start; cell < end; cell++) {
      const value = values[cell]!;
      const place = findPlace(held, valueStarts[value]!, heldCounts[value]!, batch);
      held.copyWithin(place + 1, place, valueStarts[value]! + heldCounts[value]!);
      held[place] = batch;
      heldCounts[value]!++;
    }
    if (batch === sizes.length) sizes.push(0);
    sizes[batch]!++;
    if (sizes[batch] === batchSize) room.close(batch);
  }
  return { batchOfPosition, sizes };
}

/** The first place from `start`, among `length` ascending numbers, whose number is not below `wanted`. */
function findPlace(numbers: Int32Array, start: number, length: number, wanted: number): number {
  let low = start;
  let high = start + length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (numbers[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Batches with room, among endlessly many: full ones point to the next, and paths are halved as they are walked. */
class NextWithRoom {
  readonly #next: number[] = [];

  /** The first batch from `batch` that has room. */
  from(batch: number): number {
    const next = this.#next;
    while (next.length <= batch) next.push(next.length);
    let at = batch;
    while (next[at] !== at) {
      const following = next[at]!;
      while (next.length <= following) next.push(next.length);
      next[at] = next[following]!;
      at = next[at]!;
    }
    return at;
  }

  close(batch: number): void {
    this.#next[batch] = this.from(batch + 1);
  }
}
