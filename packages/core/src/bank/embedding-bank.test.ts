import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type BankRows, EmbeddingBank, type SlotRange } from "./embedding-bank.ts";

const [columns, dimension] = [2, 3];
let counter = 0;

function makeRows(rows: number): BankRows {
  const first = counter;
  counter += rows;
  return {
    rows,
    embeddings: Array.from({ length: columns }, (_, column) =>
      Float32Array.from(
        { length: rows * dimension },
        (__, index) => first + Math.floor(index / dimension) + column / 4,
      ),
    ),
    keys: Array.from({ length: columns }, (_, column) =>
      Float64Array.from({ length: rows }, (__, row) => first + row + column / 4),
    ),
  };
}

/** Row numbers that a bank holds, read from its embeddings; checks that columns and keys agree. */
function contents(bank: EmbeddingBank): number[] {
  const occupied = bank.occupied();
  const held: number[] = [];
  for (let slot = 0; slot < bank.fill; slot++) {
    if (!occupied[slot]) continue;
    const row = bank.embeddings(0)[slot * dimension]!;
    for (let column = 0; column < columns; column++) {
      expect([...bank.embeddings(column).subarray(slot * dimension, (slot + 1) * dimension)]).toEqual(
        Array(dimension).fill(row + column / 4),
      );
      expect(bank.keys(column)[slot]).toBe(row + column / 4);
    }
    held.push(row);
  }
  expect(bank.rows).toBe(held.length);
  const byAge = [...bank.slotsByAge()].map((slot) => bank.embeddings(0)[slot * dimension]!);
  // Rows are numbered in the order in which they were pushed.
  expect(byAge).toEqual(held.sort((a, b) => a - b));
  return byAge;
}

type Action = { readonly push: number } | "reset" | "step" | "save";

const actions = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ push: fc.integer({ min: 1, max: 12 }) }) },
    { weight: 1, arbitrary: fc.constantFrom<Action>("reset", "save") },
    { weight: 3, arbitrary: fc.constant<Action>("step") },
  ),
  { maxLength: 40 },
);

describe("EmbeddingBank equals a list", () => {
  it("whatever is pushed, reset, committed, saved and restored", () => {
    fc.assert(
      fc.property(
        actions,
        fc.record({
          capacity: fc.integer({ min: 1, max: 20 }),
          pushAt: fc.constantFrom("forward" as const, "optimizerStep" as const),
          resetAtOptimizerStep: fc.boolean(),
        }),
        (sequence, options) => {
          let bank = new EmbeddingBank(options);
          let list: number[] = [];
          let staged: number[] = [];
          const enter = (rows: readonly number[]) => {
            list = [...list, ...rows].slice(-options.capacity);
          };
          for (const action of sequence) {
            if (action === "reset") {
              bank.reset();
              [list, staged] = [[], []];
            } else if (action === "step") {
              bank.onOptimizerStep();
              enter(staged);
              staged = [];
              if (options.resetAtOptimizerStep) list = [];
            } else if (action === "save") {
              const again = new EmbeddingBank(options);
              again.restore(bank.save());
              bank = again;
            } else {
              const first = counter;
              bank.push(makeRows(action.push));
              const rows = Array.from({ length: action.push }, (_, row) => first + row);
              if (options.pushAt === "forward") enter(rows);
              else staged.push(...rows);
            }
            expect(contents(bank)).toEqual(list);
            expect(bank.fill).toBe(list.length);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it("in the compatibility mode keeps whole batches, as a deque of them", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant("step" as const)), { maxLength: 30 }),
        fc.boolean(),
        (capacity, sizes, resetAtOptimizerStep) => {
          const bank = new EmbeddingBank({ capacity, resetAtOptimizerStep, compatibility: "pr-3612" });
          let deque: number[][] = [];
          // The first batch is the largest, as it is with a fixed batch size.
          for (const size of [5, ...sizes]) {
            if (size === "step") {
              bank.onOptimizerStep();
              if (resetAtOptimizerStep) deque = [];
            } else {
              const first = counter;
              bank.push(makeRows(size));
              deque = [...deque, Array.from({ length: size }, (_, row) => first + row)].slice(-capacity);
            }
            expect(contents(bank)).toEqual(deque.flat());
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe("replaceRows", () => {
  it("changes the embeddings of all rows, oldest first, and nothing else", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(undefined, "pr-3612" as const),
        fc.integer({ min: 1, max: 9 }),
        fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 6 }),
        (compatibility, capacity, sizes) => {
          const bank = new EmbeddingBank({ capacity, ...(compatibility ? { compatibility } : {}) });
          for (const size of [5, ...sizes]) bank.push(makeRows(size));
          const before = bank.save();
          const heard: (readonly SlotRange[])[] = [];
          bank.onWrite((written) => heard.push(written));
          const replaced = Array.from({ length: columns }, (_, column) =>
            Float32Array.from({ length: bank.rows * dimension }, (__, index) => -index - column / 4),
          );
          bank.replaceRows(replaced);
          expect(heard).toEqual([[{ start: 0, end: bank.fill }]]);
          replaced.forEach((column, index) => {
            const held = [...bank.slotsByAge()].flatMap((slot) => [
              ...bank.embeddings(index).subarray(slot * dimension, (slot + 1) * dimension),
            ]);
            expect(held).toEqual([...column]);
          });
          const after = bank.save();
          expect({ ...after, embeddings: [] }).toEqual({ ...before, embeddings: [] });
          before.occupied.forEach((isOccupied, slot) => {
            const range = [slot * dimension, (slot + 1) * dimension] as const;
            if (!isOccupied)
              for (let column = 0; column < columns; column++)
                expect(after.embeddings[column]!.slice(...range)).toEqual(before.embeddings[column]!.slice(...range));
          });
          expect(after.embeddings[0]).not.toEqual(before.embeddings[0]);
        },
      ),
    );
  });

  it("refuses other rows or columns than the bank holds, and takes none for an empty bank", () => {
    const bank = new EmbeddingBank({ capacity: 4 });
    bank.replaceRows([]);
    bank.push(makeRows(2));
    const rows = (count: number) => new Float32Array(count * dimension);
    expect(() => bank.replaceRows([rows(2), rows(3)])).toThrow(
      /columns of 6, 9 numbers; the bank holds 2 columns of 2 rows of 3 numbers/,
    );
    expect(() => bank.replaceRows([rows(2)])).toThrow(/columns of 6 numbers/);
    expect(() => bank.replaceRows([])).toThrow(/columns of no numbers/);
    bank.reset();
    bank.replaceRows([rows(0), rows(0)]);
  });
});

describe("EmbeddingBank", () => {
  it("allocates once, and its bytes are known before", () => {
    const bank = new EmbeddingBank({ capacity: 1000 });
    bank.allocate(2, 384, 32);
    expect(bank.bytes).toBe(EmbeddingBank.bytesFor(1000, 2, 384));
    expect(bank.bytes).toBe(2 * 1000 * 384 * 4 + 2 * 1000 * 8 + 1000 * 5);
    const before = bank.embeddings(0).buffer;
    for (let push = 0; push < 50; push++)
      bank.push({
        rows: 33,
        embeddings: [new Float32Array(33 * 384), new Float32Array(33 * 384)],
        keys: [new Float64Array(33), new Float64Array(33)],
      });
    expect(bank.embeddings(0).buffer).toBe(before);
  });

  it("tells its age and whether the warm-up is over", () => {
    const bank = new EmbeddingBank({ capacity: 4, warmupSteps: 2 });
    expect([bank.isReadable, bank.oldestAge]).toEqual([false, 0]);
    bank.push(makeRows(2));
    bank.onOptimizerStep();
    expect([bank.isReadable, bank.oldestAge]).toEqual([false, 1]);
    bank.push(makeRows(2));
    bank.onOptimizerStep();
    expect([bank.isReadable, bank.oldestAge]).toEqual([true, 2]);
    bank.push(makeRows(3));
    expect(bank.oldestAge).toBe(1);
  });

  it("refuses other dimensions and column counts with both numbers, and states of another capacity", () => {
    const bank = new EmbeddingBank({ capacity: 4 });
    bank.push(makeRows(2));
    expect(() => bank.allocate(2, 5, 2)).toThrow(/dimension 3; these have 5/);
    expect(() => bank.allocate(3, dimension, 2)).toThrow(/holds 2 columns; this batch has 3/);
    expect(() => new EmbeddingBank({ capacity: 5 }).restore(bank.save())).toThrow(/has 4 slots; this one has 5/);
  });

  it("refuses options that cannot be", () => {
    expect(() => new EmbeddingBank({ capacity: 0 })).toThrow(/capacity is 0; it must be a whole number of at least 1/);
    expect(() => new EmbeddingBank({ capacity: 1.5 })).toThrow(/capacity is 1\.5/);
    expect(() => new EmbeddingBank({ capacity: 4, pushAt: "backward" as "forward" })).toThrow(
      /pushAt is "backward"; it must be forward or optimizerStep/,
    );
    expect(() => new EmbeddingBank({ capacity: 4, compatibility: "pr-3612", rowWeighting: "current" })).toThrow(
      /rowWeighting is "current", but compatibility "pr-3612" means "all"/,
    );
  });
});
