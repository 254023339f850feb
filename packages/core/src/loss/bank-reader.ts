import type { EmbeddingBank } from "../bank/embedding-bank.ts";
import type { EncoderPrograms } from "../encoder/encoder-programs.ts";
import { BankPartitions } from "./bank-partitions.ts";
import { type CandidateValues, sampleNumbers } from "./candidates.ts";
import type { ResolvedRankingOptions } from "./ranking-options.ts";
import { nameSharedTexts } from "./text-names.ts";

/** What a loss sees of a bank in one step. */
export interface BankView {
  readonly bank: EmbeddingBank;
  /** Cached rows as candidates; samples are numbered from 0, those of the batch after them. */
  readonly cached: CandidateValues;
  /** Names of the batch's texts as rows and as candidates; undefined where no text is shared. */
  readonly batchTexts: { readonly rows: readonly Int32Array[]; readonly candidates: readonly Int32Array[] } | undefined;
  /** Names of the cached texts as rows. */
  readonly cachedRowTexts: readonly Int32Array[] | undefined;
  /** First sample number of the batch. */
  readonly firstSample: number;
  readonly hasGaps: boolean;
  /** Rows of the loss: the batch's and, if they are rows, the cached queries. */
  readonly lossRows: number;
  /** Weight of each row. */
  readonly rowWeight: number;
  /** Log-sum-exps of cached queries over the bank; undefined where cached queries are no rows. */
  readonly partitions: BankPartitions | undefined;
  /** Pairs of a batch row and a cached candidate that are taken out as duplicates. */
  readonly maskedDuplicates: number;
}

/** Reads a bank for a loss; keeps what is worth keeping from step to step. */
export class BankReader {
  readonly #bank: EmbeddingBank;
  readonly #options: ResolvedRankingOptions;
  #partitions: { readonly programs: EncoderPrograms; readonly value: BankPartitions } | undefined;

  constructor(bank: EmbeddingBank, options: ResolvedRankingOptions) {
    this.#bank = bank;
    this.#options = options;
  }

  /**
   * The bank as a batch sees it; undefined when it is empty or warming up.
   * @param keys hash of each text of the batch, one array a column.
   * @throws OptionError "bank-shape-changed".
   */
  async view(
    programs: EncoderPrograms,
    keys: readonly Float64Array[],
    dimension: number,
  ): Promise<BankView | undefined> {
    const bank = this.#bank;
    const rows = keys[0]!.length;
    bank.allocate(keys.length, dimension, rows);
    if (!bank.isReadable) return undefined;
    const columns = keys.map((_, column) => column);
    const occupied = bank.occupied();
    const samples = Int32Array.from(occupied, (isOccupied, slot) => (isOccupied ? slot : -1));
    const firstSample = bank.fill;
    const bankKeys = columns.map((column) => bank.keys(column));
    const names = bank.maskDuplicates
      ? nameSharedTexts({ keys, samples: sampleNumbers(firstSample, rows) }, { keys: bankKeys, samples })
      : undefined;
    const batchTexts = names && { rows: names.rows(keys), candidates: names.candidates(keys) };
    const cachedTexts = names?.candidates(bankKeys);
    const lossRows = rows + (bank.cacheQueries ? bank.rows : 0);
    return {
      bank,
      cached: {
        rows: bank.fill,
        vectors: columns.map((column) => bank.embeddings(column)),
        samples,
        texts: cachedTexts,
      },
      batchTexts,
      cachedRowTexts: names?.rows(bankKeys.slice(0, 2)),
      firstSample,
      hasGaps: bank.rows < bank.fill,
      lossRows,
      rowWeight: 1 / (bank.rowWeighting === "all" ? lossRows : rows),
      partitions: bank.cacheQueries ? await this.#update(programs) : undefined,
      maskedDuplicates: batchTexts && cachedTexts ? countShared(batchTexts.rows, cachedTexts.slice(1)) : 0,
    };
  }

  async #update(programs: EncoderPrograms): Promise<BankPartitions> {
    if (this.#partitions?.programs !== programs) {
      this.#partitions?.value.release();
      this.#partitions = { programs, value: new BankPartitions(programs, this.#options, this.#bank) };
    }
    await this.#partitions.value.update();
    return this.#partitions.value;
  }
}

/** Pairs of a row and a document that the row's anchor or positive names. */
function countShared(rows: readonly Int32Array[], documents: readonly Int32Array[]): number {
  const counts = new Map<number, number>();
  for (const column of documents)
    for (const name of column) if (name >= 0) counts.set(name, (counts.get(name) ?? 0) + 1);
  const [anchors, positives] = rows as [Int32Array, Int32Array];
  let pairs = 0;
  anchors.forEach((anchor, row) => {
    for (const name of new Set([anchor, positives[row]!])) pairs += counts.get(name) ?? 0;
  });
  return pairs;
}
