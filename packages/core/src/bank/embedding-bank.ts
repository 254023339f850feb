import { OptionError } from "../errors.ts";

export interface EmbeddingBankOptions {
  /**
   * Rows kept per column. Every row is a negative for every query, so that a query sees about
   * `capacity` + batch documents at the memory of one batch. With `compatibility: "pr-3612"`: batches kept.
   */
  readonly capacity: number;
  /**
   * Do what pull request 3612 of sentence-transformers does with `cache_size` = capacity: whole batches enter and leave, in
   * the forward pass, cached queries are rows, every row weighs 1 / (rows), and duplicates stay. `prev_cache=False` is
   * `resetAtOptimizerStep: true`. For comparing with it step by step. Default: not.
   */
  readonly compatibility?: "pr-3612";
  /**
   * Empty the bank after each optimizer step: only batches of one accumulation group see each other. Default false: rows
   * of earlier updates stay, which the paper's ablation finds better (table 4, "without past encoder").
   */
  readonly resetAtOptimizerStep?: boolean;
  /**
   * When rows enter: `forward`, after the batch that made them, so that later batches of the same accumulation group
   * see them (the paper's way), or `optimizerStep`, so that they do not. Default `forward`.
   */
  readonly pushAt?: "forward" | "optimizerStep";
  /**
   * Let cached queries be rows of the loss, with their cached documents as positives (the paper's dual bank). Without them
   * documents get more gradient than queries, and quality falls below that of no bank (table 4, "without M_q").
   * Default true.
   */
  readonly cacheQueries?: boolean;
  /**
   * Weight of a row: `all` is 1 / (rows of the loss), the paper's equation 8; `current` is 1 / (rows of the batch), under
   * which a batch's own rows count as much as without a bank, however full it is. Default `all`.
   */
  readonly rowWeighting?: "all" | "current";
  /** Optimizer steps before the bank is read; rows enter from the first. Early embeddings go stale fast. Default 0. */
  readonly warmupSteps?: number;
  /**
   * Take a cached candidate out of the softmax of a row whose own anchor or positive it repeats (by its tokens): it would be
   * a false negative that NO_DUPLICATES cannot see, because it only looks within a batch. Default true.
   */
  readonly maskDuplicates?: boolean;
}

/** Everything that an EmbeddingBank must keep to go on exactly where it stopped. */
export interface EmbeddingBankState {
  readonly dimension: number;
  readonly columns: number;
  readonly fill: number;
  readonly next: number;
  readonly slotsPerBatch: number;
  readonly optimizerSteps: number;
  /** 1 for slots that hold a row. */
  readonly occupied: Uint8Array;
  /** One a column, `[capacity, dimension]`. */
  readonly embeddings: readonly Float32Array[];
  readonly keys: readonly Float64Array[];
  readonly pushedAtStep: Int32Array;
  readonly staged: readonly BankRows[];
}

/** Rows on their way into a bank, one array a column: queries, positives, negatives. */
export interface BankRows {
  readonly rows: number;
  /** `[rows, dimension]`, flat; normalised where the similarity is cosine. */
  readonly embeddings: readonly Float32Array[];
  /** Hash of each text, by which duplicates are found. */
  readonly keys: readonly Float64Array[];
}

/** A run of slots that were written: from `start` to `end`, exclusive. */
export interface SlotRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Embeddings of earlier batches: one ring a column, first in, first out, counted in rows. All memory is allocated once.
 *
 * Rows lie in slots 0 to `fill` - 1; a row keeps its slot until it is overwritten. Slots have gaps only in the
 * compatibility mode, after a batch smaller than the first. Contrastive accumulation: Kim, Lee and Kang, arXiv 2406.12356.
 */
export class EmbeddingBank {
  readonly capacity: number;
  readonly resetAtOptimizerStep: boolean;
  readonly pushAt: "forward" | "optimizerStep";
  readonly cacheQueries: boolean;
  readonly rowWeighting: "all" | "current";
  readonly warmupSteps: number;
  readonly maskDuplicates: boolean;
  readonly compatibility: "pr-3612" | undefined;
  #dimension = 0;
  #embeddings: Float32Array[] = [];
  #keys: Float64Array[] = [];
  #pushedAtStep = new Int32Array(0);
  #fill = 0;
  #next = 0;
  /** Compatibility mode: slots that each batch takes, the rows of the first one. */
  #slotsPerBatch = 0;
  #occupied = new Uint8Array(0);
  #rows = 0;
  #optimizerSteps = 0;
  #staged: BankRows[] = [];
  readonly #listeners = new Set<(written: readonly SlotRange[]) => void>();

  /** @throws OptionError "invalid-option". */
  constructor(options: EmbeddingBankOptions) {
    const { capacity, warmupSteps = 0, pushAt = "forward", rowWeighting = "all" } = options;
    requireWhole("capacity", capacity, 1);
    requireWhole("warmupSteps", warmupSteps, 0);
    requireOneOf("pushAt", pushAt, ["forward", "optimizerStep"]);
    requireOneOf("rowWeighting", rowWeighting, ["all", "current"]);
    this.capacity = capacity;
    this.resetAtOptimizerStep = options.resetAtOptimizerStep ?? false;
    this.pushAt = pushAt;
    this.cacheQueries = options.cacheQueries ?? true;
    this.rowWeighting = rowWeighting;
    this.warmupSteps = warmupSteps;
    this.compatibility = options.compatibility;
    this.maskDuplicates = options.maskDuplicates ?? this.compatibility === undefined;
    if (this.compatibility !== undefined) requireCompatible(this, options);
  }

  /** All options with their values, for events and model cards. */
  get options(): Required<Omit<EmbeddingBankOptions, "compatibility">> & Pick<EmbeddingBankOptions, "compatibility"> {
    const { capacity, resetAtOptimizerStep, pushAt, cacheQueries, rowWeighting, warmupSteps, maskDuplicates } = this;
    return {
      capacity,
      resetAtOptimizerStep,
      pushAt,
      cacheQueries,
      rowWeighting,
      warmupSteps,
      maskDuplicates,
      ...(this.compatibility ? { compatibility: this.compatibility } : {}),
    };
  }

  /** Slots in use: rows lie in slots 0 to `fill` - 1. */
  get fill(): number {
    return this.#fill;
  }

  /** Rows that the bank holds. */
  get rows(): number {
    return this.#rows;
  }

  /** Slots of each column; 0 before `allocate`. */
  get slots(): number {
    return this.#occupied.length;
  }

  /** Whether the loss may read the bank: it holds rows and its warm-up is over. */
  get isReadable(): boolean {
    return this.#fill > 0 && this.#optimizerSteps >= this.warmupSteps;
  }

  /** Numbers of a row; 0 before `allocate`. */
  get dimension(): number {
    return this.#dimension;
  }

  /** Columns: queries, positives, negatives; 0 before `allocate`. */
  get columns(): number {
    return this.#embeddings.length;
  }

  /** Bytes that the bank takes once allocated. */
  get bytes(): number {
    return EmbeddingBank.bytesFor(this.slots, this.columns, this.#dimension);
  }

  /** Optimizer steps since the oldest row entered; 0 when empty. */
  get oldestAge(): number {
    if (this.#fill === 0) return 0;
    return this.#optimizerSteps - this.#pushedAtStep[this.#next % this.#fill]!;
  }

  /** Bytes of a bank of so many slots: embeddings, one hash a text, and each row's age and occupancy. */
  static bytesFor(slots: number, columns: number, dimension: number): number {
    return slots * (columns * (4 * dimension + 8) + 5);
  }

  /**
   * Allocates the rings, the first time; afterwards checks that nothing has changed.
   * @param batchSize rows of a full batch.
   * @throws OptionError "bank-shape-changed" with both numbers.
   */
  allocate(columns: number, dimension: number, batchSize: number): void {
    if (this.#embeddings.length === 0) {
      this.#slotsPerBatch = this.compatibility ? batchSize : 0;
      const slots = this.capacity * (this.compatibility ? batchSize : 1);
      this.#dimension = dimension;
      this.#embeddings = Array.from({ length: columns }, () => new Float32Array(slots * dimension));
      this.#keys = Array.from({ length: columns }, () => new Float64Array(slots));
      this.#pushedAtStep = new Int32Array(slots);
      this.#occupied = new Uint8Array(slots);
      return;
    }
    if (dimension !== this.#dimension)
      throw new OptionError(
        "bank-shape-changed",
        `The bank holds embeddings of dimension ${this.#dimension}; these have ${dimension}. Use one bank a model.`,
        { expected: this.#dimension, given: dimension },
      );
    if (columns !== this.columns)
      throw new OptionError(
        "bank-shape-changed",
        `The bank holds ${this.columns} columns; this batch has ${columns}. Use one bank for each data set, or bring the data sets to the same columns.`,
        { expected: this.columns, given: columns },
      );
    if (this.compatibility && batchSize > this.#slotsPerBatch)
      throw new OptionError(
        "bank-shape-changed",
        `The bank keeps whole batches of up to ${this.#slotsPerBatch} rows, the size of the first; this batch has ${batchSize}. Begin with the largest batch, or leave out compatibility.`,
        { expected: this.#slotsPerBatch, given: batchSize },
      );
  }

  /** Rows of a column, `[fill, dimension]`: a view, in the order of slots. */
  embeddings(column: number): Float32Array {
    return this.#embeddings[column]!.subarray(0, this.#fill * this.#dimension);
  }

  /** Hash of each row's text: a view, in the order of slots. */
  keys(column: number): Float64Array {
    return this.#keys[column]!.subarray(0, this.#fill);
  }

  /** 1 for each slot that holds a row: a view. */
  occupied(): Uint8Array {
    return this.#occupied.subarray(0, this.#fill);
  }

  /** Slots that hold a row, from the oldest row to the newest. */
  slotsByAge(): Int32Array {
    return Int32Array.from({ length: this.#fill }, (_, index) => (this.#next + index) % this.#fill).filter(
      (slot) => this.#occupied[slot] === 1,
    );
  }

  /**
   * Overwrites the embeddings of all rows; texts and ages stay. It is what a lockstep comparison loads.
   * @param columns one a column, `[rows, dimension]`, flat, from the oldest row to the newest. Copied.
   * @throws OptionError "bank-shape-changed" when they are not as many numbers as the bank holds.
   */
  replaceRows(columns: readonly Float32Array[]): void {
    const given = columns.map((column) => column.length);
    const expected = this.#embeddings.map(() => this.#rows * this.#dimension);
    if (given.length !== expected.length || given.some((count, column) => count !== expected[column]))
      throw new OptionError(
        "bank-shape-changed",
        `replaceRows was given columns of ${given.join(", ") || "no"} numbers; the bank holds ${this.columns} columns of ${this.#rows} rows of ${this.#dimension} numbers. Give every row of every column, oldest first.`,
        { given, expected },
      );
    const width = this.#dimension;
    const slots = this.slotsByAge();
    columns.forEach((column, index) => {
      slots.forEach((slot, row) => {
        this.#embeddings[index]!.set(column.subarray(row * width, (row + 1) * width), slot * width);
      });
    });
    if (this.#fill > 0) for (const listener of this.#listeners) listener([{ start: 0, end: this.#fill }]);
  }

  /** Has `listener` called after rows were written or the bank was emptied (no range). @returns stops it. */
  onWrite(listener: (written: readonly SlotRange[]) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Takes a batch's rows: at once, or at the next optimizer step. Copied. Of more rows than the capacity the last stay.
   * @throws OptionError "bank-shape-changed".
   */
  push(rows: BankRows): void {
    this.allocate(rows.embeddings.length, rows.embeddings[0]!.length / rows.rows, rows.rows);
    if (this.pushAt === "forward") this.#write(rows);
    else this.#staged.push({ ...rows, embeddings: rows.embeddings.map((column) => column.slice()) });
  }

  /** To be called after each optimizer step: commits staged rows, counts warm-up, empties the bank if it is to be. */
  onOptimizerStep(): void {
    this.#optimizerSteps++;
    const staged = this.#staged;
    this.#staged = [];
    for (const rows of staged) this.#write(rows);
    if (this.resetAtOptimizerStep) this.reset();
  }

  /** Forgets all rows, staged ones too. */
  reset(): void {
    this.#fill = 0;
    this.#next = 0;
    this.#rows = 0;
    this.#occupied.fill(0);
    this.#staged = [];
    for (const listener of this.#listeners) listener([]);
  }

  /** A copy of everything that `restore` needs. */
  save(): EmbeddingBankState {
    return {
      dimension: this.#dimension,
      columns: this.columns,
      fill: this.#fill,
      next: this.#next,
      slotsPerBatch: this.#slotsPerBatch,
      optimizerSteps: this.#optimizerSteps,
      occupied: this.#occupied.slice(),
      embeddings: this.#embeddings.map((column) => column.slice()),
      keys: this.#keys.map((column) => column.slice()),
      pushedAtStep: this.#pushedAtStep.slice(),
      staged: this.#staged.map((rows) => ({ ...rows, embeddings: rows.embeddings.map((column) => column.slice()) })),
    };
  }

  /**
   * Goes on from a saved state.
   * @throws OptionError "bank-shape-changed" when it belongs to a bank of another capacity.
   */
  restore(state: EmbeddingBankState): void {
    const slots = this.capacity * (this.compatibility ? state.slotsPerBatch : 1);
    if (state.columns > 0 && state.occupied.length !== slots)
      throw new OptionError(
        "bank-shape-changed",
        `The saved bank has ${state.occupied.length} slots; this one has ${slots}. Use the capacity that the run was started with.`,
        { expected: slots, given: state.occupied.length },
      );
    this.#dimension = state.dimension;
    this.#embeddings = state.embeddings.map((column) => column.slice());
    this.#keys = state.keys.map((column) => column.slice());
    this.#pushedAtStep = state.pushedAtStep.slice();
    this.#fill = state.fill;
    this.#next = state.next;
    this.#slotsPerBatch = state.slotsPerBatch;
    this.#occupied = state.occupied.slice();
    this.#rows = state.occupied.reduce((sum, slot) => sum + slot, 0);
    this.#optimizerSteps = state.optimizerSteps;
    this.#staged = [...state.staged];
    for (const listener of this.#listeners) {
      listener([]);
      listener([{ start: 0, end: state.fill }]);
    }
  }

  #write({ rows, embeddings, keys }: BankRows): void {
    const width = this.#dimension;
    const written: SlotRange[] = [];
    for (let row = Math.max(0, rows - this.slots); row < rows; ) {
      const start = this.#next;
      const length = Math.min(rows - row, this.slots - start);
      embeddings.forEach((column, index) => {
        this.#embeddings[index]!.set(column.subarray(row * width, (row + length) * width), start * width);
        this.#keys[index]!.set(keys[index]!.subarray(row, row + length), start);
      });
      // In the compatibility mode a batch takes the slots of a full one, and the oldest batch leaves whole.
      const end = Math.max(start + length, start + this.#slotsPerBatch);
      this.#pushedAtStep.fill(this.#optimizerSteps, start, end);
      for (let slot = start; slot < end; slot++) {
        const occupied = slot < start + length ? 1 : 0;
        this.#rows += occupied - this.#occupied[slot]!;
        this.#occupied[slot] = occupied;
      }
      written.push({ start, end });
      this.#next = end % this.slots;
      this.#fill = Math.max(this.#fill, end);
      row += length;
    }
    for (const listener of this.#listeners) listener(written);
  }
}

function requireCompatible(bank: EmbeddingBank, options: EmbeddingBankOptions): void {
  requireOneOf("compatibility", options.compatibility!, ["pr-3612"]);
  const fixed = { pushAt: "forward", cacheQueries: true, rowWeighting: "all", warmupSteps: 0, maskDuplicates: false };
  for (const [option, value] of Object.entries(fixed) as [keyof typeof fixed, unknown][])
    if (bank[option] !== value)
      throw new OptionError(
        "invalid-option",
        `EmbeddingBank option ${option} is ${JSON.stringify(bank[option])}, but compatibility "pr-3612" means ${JSON.stringify(value)}. Leave one of the two out.`,
        { option, value: bank[option], expected: value },
      );
}

function requireWhole(option: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least)
    throw new OptionError(
      "invalid-option",
      `EmbeddingBank option ${option} is ${JSON.stringify(value)}; it must be a whole number of at least ${least}.`,
      { option, value },
    );
}

function requireOneOf(option: string, value: string, allowed: readonly string[]): void {
  if (!allowed.includes(value))
    throw new OptionError(
      "invalid-option",
      `EmbeddingBank option ${option} is ${JSON.stringify(value)}; it must be ${allowed.join(" or ")}.`,
      { option, value, allowed },
    );
}
