import { Graph } from "@gradbank/graph";
import type { EmbeddingBank, SlotRange } from "../bank/embedding-bank.ts";
import type { EncoderPrograms } from "../encoder/encoder-programs.ts";
import { candidateInputs, declareCandidates } from "./candidates.ts";
import { declareRows, rowInputs } from "./loss-rows.ts";
import { buildPartitions, outOfSoftmax } from "./ranking-graph.ts";
import type { ResolvedRankingOptions } from "./ranking-options.ts";
import { nameSharedTexts } from "./text-names.ts";

/** Blocks into which a bank's slots are cut: few enough to sum up, small enough to renew. */
const mostBlocks = 128;
const leastSlots = 128;

/**
 * Rows that are scored against a block at once: always so many, and always the same ones together. How a product of
 * matrices is rounded depends on its shape and on where a row lies in it; with fixed tiles a table has the same bits
 * whether it grew push by push or was computed at once after `restore`.
 */
const rowsPerTile = 128;

/**
 * For every cached query, the log-sum-exp of its logits over the bank, block by block of slots.
 *
 * Cached queries are rows of the loss, and their scores against cached documents do not change while both stay. Only
 * what a push overwrote is computed again: O(capacity x batch) a step where computing all scores is O(capacity^2).
 */
export class BankPartitions {
  readonly #programs: EncoderPrograms;
  readonly #options: ResolvedRankingOptions;
  readonly #bank: EmbeddingBank;
  /** One a direction, `[slots, blocks]`. */
  #tables: Float32Array[] = [];
  #slotsPerBlock = 0;
  #blocks = 0;
  readonly #staleTiles = new Set<number>();
  readonly #staleBlocks = new Set<number>();
  #pending: SlotRange[] = [];
  /** Stops listening to the bank. */
  readonly release: () => void;

  constructor(programs: EncoderPrograms, options: ResolvedRankingOptions, bank: EmbeddingBank) {
    this.#programs = programs;
    this.#options = options;
    this.#bank = bank;
    if (bank.fill > 0) this.#pending.push({ start: 0, end: bank.fill });
    this.release = bank.onWrite((written) => {
      if (written.length === 0) {
        this.#pending = [];
        for (const table of this.#tables) table.fill(outOfSoftmax);
      }
      this.#pending.push(...written);
    });
  }

  /** Number of blocks: the width of each table. */
  get blocks(): number {
    return this.#blocks;
  }

  /** Rows `start` to `end` of a direction's table, `[end - start, blocks]`, flat: a view, current after `update`. */
  rows(direction: number, start: number, end: number): Float32Array {
    return this.#tables[direction]!.subarray(start * this.#blocks, end * this.#blocks);
  }

  /** Brings the tables up to date with what was pushed since the last call. */
  async update(): Promise<void> {
    this.#allocate();
    const { fill } = this.#bank;
    for (const { start, end } of this.#pending)
      for (let slot = start; slot < end; slot++) {
        this.#staleTiles.add(Math.floor(slot / rowsPerTile));
        this.#staleBlocks.add(Math.floor(slot / this.#slotsPerBlock));
      }
    this.#pending = [];
    if (this.#staleTiles.size === 0) return;
    const everyTile = Array.from({ length: Math.ceil(fill / rowsPerTile) }, (_, tile) => tile);
    const used = Math.ceil(fill / this.#slotsPerBlock);
    for (let block = 0; block < used; block++)
      await this.#score(this.#staleBlocks.has(block) ? everyTile : [...this.#staleTiles], block);
    this.#staleTiles.clear();
    this.#staleBlocks.clear();
  }

  #allocate(): void {
    const { slots } = this.#bank;
    // A restored bank may have other slots than the one before: `restore` then has announced every row.
    if (this.#tables[0]?.length === slots * this.#blocks) return;
    this.#slotsPerBlock = Math.max(leastSlots, Math.ceil(slots / mostBlocks));
    this.#blocks = Math.ceil(slots / this.#slotsPerBlock);
    this.#tables = this.#options.directions.map(() => new Float32Array(slots * this.#blocks).fill(outOfSoftmax));
  }

  /** Scores some tiles of rows against one block. */
  async #score(tiles: readonly number[], block: number): Promise<void> {
    const bank = this.#bank;
    const { dimension, columns, fill } = bank;
    const start = block * this.#slotsPerBlock;
    const end = Math.min(start + this.#slotsPerBlock, fill);
    const keys = Array.from({ length: columns }, (_, column) => bank.keys(column));
    const blockKeys = keys.map((column) => column.subarray(start, end));
    const occupied = bank.occupied();
    const samples = Int32Array.from({ length: end - start }, (_, index) =>
      occupied[start + index] ? start + index : -1,
    );
    const vectors = keys.map((_, column) => bank.embeddings(column).subarray(start * dimension, end * dimension));
    for (const tile of tiles) {
      // Behind the last row it repeats, so that every tile has the same shape.
      const rows = Int32Array.from({ length: rowsPerTile }, (_, row) => Math.min(tile * rowsPerTile + row, fill - 1));
      const rowKeys = keys.slice(0, 2).map((column) => Float64Array.from(rows, (row) => column[row]!));
      const names = bank.maskDuplicates
        ? nameSharedTexts({ keys: rowKeys, samples: rows }, { keys: blockKeys, samples })
        : undefined;
      const candidates = { rows: end - start, vectors, samples, texts: names?.candidates(blockKeys) };
      const program = await this.#program(names !== undefined, samples.includes(-1));
      const outputs = await program.run({
        ...candidateInputs("cached/", candidates, dimension),
        ...rowInputs(
          {
            anchors: takeRows(bank.embeddings(0), rows, dimension),
            positives: takeRows(bank.embeddings(1), rows, dimension),
            samples: rows,
            texts: names?.rows(rowKeys),
          },
          dimension,
        ),
      });
      this.#tables.forEach((table, direction) => {
        const partitions = outputs[`partition${direction}`]!.data as Float32Array;
        rows.forEach((slot, row) => {
          // A repeated row has the same bits only in its own place.
          if (slot === tile * rowsPerTile + row) table[slot * this.#blocks + block] = partitions[row]!;
        });
      });
    }
  }

  #program(texts: boolean, gaps: boolean) {
    const { dimension, columns } = this.#bank;
    const key = `bank-partitions/${dimension}/${columns}/${texts}/${gaps}/${JSON.stringify(this.#options)}`;
    return this.#programs.compile(key, () => {
      const graph = new Graph("bank_partitions");
      const partitions = buildPartitions(
        this.#options,
        declareRows(graph, dimension, texts),
        declareCandidates(
          graph,
          { prefix: "cached/", rows: "cached", documentColumns: columns - 1, texts, gaps },
          dimension,
        ),
      );
      return {
        graph,
        outputs: Object.fromEntries(partitions.map((value, direction) => [`partition${direction}`, value])),
      };
    });
  }
}

/** Rows of a matrix; a view where they lie one after another. */
function takeRows(values: Float32Array, rows: Int32Array, width: number): Float32Array {
  const [first, last] = [rows[0]!, rows.at(-1)!];
  if (last - first === rows.length - 1) return values.subarray(first * width, (last + 1) * width);
  const taken = new Float32Array(rows.length * width);
  rows.forEach((row, index) => {
    taken.set(values.subarray(row * width, (row + 1) * width), index * width);
  });
  return taken;
}
