import type { BankRows, EmbeddingBank, EmbeddingBankOptions } from "@gradbank/core";
import { createCaseLoss } from "../../../packages/bridge/src/suite/case-loss.ts";
import type { CaseOverrides } from "./gallery-case.ts";
import { intercept } from "./intercept.ts";
import { disguised, zeros } from "./loss-mutants.ts";
import type { Mutant, Seams } from "./mutant.ts";

const options: EmbeddingBankOptions = { capacity: 12 };

function withBank(changes: Partial<EmbeddingBankOptions> = {}, rest: CaseOverrides = {}): CaseOverrides {
  return { ...rest, loss: { ...rest.loss, bank: { ...options, ...changes } } };
}

/** The bank with other options than it says. */
function otherBank(changes: Partial<EmbeddingBankOptions>): () => Seams {
  return () => ({
    loss: (right, settings) => {
      const loss = createCaseLoss({ ...settings.loss, bank: { ...settings.loss.bank!, ...changes } });
      Object.defineProperty(loss, "configuration", { value: right.configuration });
      return loss;
    },
  });
}

/** Changes what goes into the bank, or how. */
function faultyPush(
  replace: (push: (rows: BankRows) => void, rows: BankRows, bank: EmbeddingBank) => void,
): () => Seams {
  return () => ({
    loss: (loss) => {
      const bank = loss.banks[0]!;
      intercept(bank, "push", (push) => (rows) => replace(push, rows, bank));
      return loss;
    },
  });
}

function mapRows(rows: BankRows, change: (column: Float32Array, index: number) => Float32Array): BankRows {
  return { ...rows, embeddings: rows.embeddings.map(change) };
}

/** Bugs of the bank. */
export const bankMutants: readonly Mutant[] = [
  {
    name: "bank-warm-up-ignored",
    what: "The bank is read during its warm-up.",
    overrides: withBank({ warmupSteps: 2 }),
    stages: ["scores"],
    effectStep: 2,
    seams: otherBank({ warmupSteps: 0 }),
  },
  {
    name: "bank-warm-up-one-step-long",
    what: "The warm-up lasts one step longer than it should.",
    overrides: withBank({ warmupSteps: 1 }),
    stages: ["scores"],
    effectStep: 2,
    seams: otherBank({ warmupSteps: 2 }),
  },
  {
    name: "bank-duplicates-not-masked",
    what: "Cached copies of a row's own texts stay in its softmax as false negatives.",
    overrides: withBank({}, { texts: { repeats: 0.8 } }),
    stages: ["scores"],
    effectStep: 2,
    seams: otherBank({ maskDuplicates: false }),
  },
  {
    name: "bank-queries-are-no-rows",
    what: "Cached queries are no rows of the loss: half of the dual bank is missing.",
    overrides: withBank(),
    stages: ["scores"],
    effectStep: 2,
    seams: otherBank({ cacheQueries: false }),
  },
  {
    name: "bank-queries-without-gradient",
    what: "Cached queries count in the loss, but give documents no gradient.",
    overrides: withBank(),
    stages: ["embedding-gradients"],
    effectStep: 2,
    seams: () => ({
      runtime: {
        programs: /^cached_rows$/,
        outputs: (made) =>
          made.column1_gradients ? { ...made, column1_gradients: zeros(made.column1_gradients) } : made,
      },
    }),
  },
  {
    name: "bank-row-weight",
    what: "Rows weigh 1 / (rows of the batch) instead of 1 / (rows of batch and bank).",
    overrides: withBank(),
    stages: ["loss"],
    effectStep: 2,
    seams: otherBank({ rowWeighting: "current" }),
  },
  {
    name: "bank-partitions-out-of-date",
    what: "The partition sums of cached queries stay what they were when the bank was first read.",
    overrides: withBank(),
    stages: ["loss"],
    effectStep: 3,
    seams: () => {
      const first: Record<string, Float32Array> = {};
      return {
        runtime: {
          programs: /^bank_partitions$/,
          outputs: (made) =>
            Object.fromEntries(
              Object.entries(made).map(([name, tensor]) => {
                first[name] ??= (tensor.data as Float32Array).slice();
                return [name, { ...tensor, data: first[name] }];
              }),
            ),
        },
      };
    },
  },
  {
    name: "bank-stale",
    what: "The bank takes the rows of the batch before instead of the batch's own.",
    overrides: withBank(),
    stages: ["bank"],
    effectStep: 2,
    seams: () => {
      let before: BankRows | undefined;
      return faultyPush((push, rows) => {
        const own = mapRows(rows, (column) => column.slice());
        push(before ?? own);
        before = own;
      })();
    },
  },
  {
    name: "bank-double-push",
    what: "A batch's rows enter twice.",
    overrides: withBank(),
    stages: ["bank"],
    effectStep: 1,
    seams: faultyPush((push, rows) => {
      push(rows);
      push(rows);
    }),
  },
  {
    name: "bank-push-lost",
    what: "A batch's last row does not enter.",
    overrides: withBank(),
    stages: ["bank"],
    effectStep: 1,
    seams: faultyPush((push, rows, bank) =>
      push({
        rows: rows.rows - 1,
        embeddings: rows.embeddings.map((column) => column.subarray(0, (rows.rows - 1) * bankWidth(bank, rows))),
        keys: rows.keys.map((keys) => keys.subarray(0, rows.rows - 1)),
      }),
    ),
  },
  {
    name: "bank-push-reversed",
    what: "A batch's rows enter in reverse order.",
    overrides: withBank(),
    stages: ["bank"],
    effectStep: 1,
    seams: faultyPush((push, rows, bank) => {
      const width = bankWidth(bank, rows);
      const reversed = (column: Float32Array) =>
        Float32Array.from(column, (_, index) => {
          const row = rows.rows - 1 - Math.floor(index / width);
          return column[row * width + (index % width)]!;
        });
      push({ ...mapRows(rows, reversed), keys: rows.keys.map((keys) => keys.slice().reverse()) });
    }),
  },
  {
    name: "bank-columns-swapped",
    what: "Queries are cached as documents and documents as queries.",
    overrides: withBank(),
    stages: ["bank"],
    effectStep: 1,
    seams: faultyPush((push, rows) => push(mapRows(rows, (_, index) => rows.embeddings[1 - index]!))),
  },
  {
    name: "bank-in-half-precision",
    what: "Cached rows keep only the upper 16 bits of each number.",
    overrides: withBank(),
    stages: ["bank"],
    effectStep: 1,
    seams: faultyPush((push, rows) =>
      push(
        mapRows(rows, (column) => {
          const bits = new Uint32Array(column.slice().buffer).map((word) => word & 0xffff0000);
          return new Float32Array(bits.buffer);
        }),
      ),
    ),
  },
  {
    name: "bank-capacity",
    what: "The bank keeps one row more than its capacity.",
    overrides: withBank(),
    stages: ["bank"],
    effectStep: 2,
    seams: otherBank({ capacity: 13 }),
  },
  {
    name: "bank-not-reset",
    what: "The bank is not emptied at the optimizer step.",
    overrides: withBank({ resetAtOptimizerStep: true }),
    stages: ["bank"],
    effectStep: 1,
    seams: otherBank({ resetAtOptimizerStep: false }),
  },
  {
    name: "bank-reset-too-often",
    what: "The bank is emptied at each optimizer step, although rows of earlier updates are to stay.",
    overrides: withBank(),
    stages: ["bank"],
    effectStep: 1,
    seams: otherBank({ resetAtOptimizerStep: true }),
  },
  {
    name: "bank-reset-after-each-batch",
    what: "The bank is emptied after each batch, so that batches of an accumulation group do not see each other.",
    overrides: withBank({}, { gradientAccumulationSteps: 2 }),
    stages: ["bank"],
    effectStep: 1,
    seams: faultyPush((push, rows, bank) => {
      push(rows);
      bank.reset();
    }),
  },
  {
    name: "bank-push-too-late",
    what: "Rows enter at the optimizer step instead of after their batch.",
    overrides: withBank(),
    stages: ["bank"],
    effectStep: 1,
    seams: otherBank({ pushAt: "optimizerStep" }),
  },
  {
    name: "bank-push-too-early",
    what: "Rows enter after their batch instead of at the optimizer step.",
    overrides: withBank({ pushAt: "optimizerStep" }),
    stages: ["bank"],
    effectStep: 1,
    seams: otherBank({ pushAt: "forward" }),
  },
  {
    name: "evaluation-pushes",
    what: "Evaluation puts its rows into the bank.",
    overrides: withBank(),
    stages: ["scores"],
    effectStep: 2,
    seams: () => ({
      loss: (loss) => {
        intercept(loss, "evaluate", (evaluate) => async (encoder, batch) => {
          const value = await evaluate(encoder, batch);
          const rows = batch.columns[0]!.length;
          const embeddings: Float32Array[] = [];
          for (const sequences of batch.columns)
            embeddings.push(await encoder.programs.embed({ sequences, rows: Int32Array.from(sequences.keys()) }));
          loss.banks[0]!.push({ rows, embeddings, keys: embeddings.map(() => new Float64Array(rows)) });
          return value;
        });
        return loss;
      },
    }),
  },
  {
    name: "evaluation-empties-the-bank",
    what: "Evaluation sets the bank aside by emptying it.",
    overrides: withBank(),
    stages: ["scores"],
    effectStep: 2,
    seams: () => ({
      loss: (loss) => {
        intercept(loss, "evaluate", (evaluate) => (encoder, batch) => {
          loss.banks[0]!.reset();
          return evaluate(encoder, batch);
        });
        return loss;
      },
    }),
  },
  {
    name: "evaluation-counts-as-a-step",
    what: "Evaluation counts as an optimizer step, so that the bank's warm-up ends early.",
    overrides: withBank({ warmupSteps: 2 }),
    stages: ["scores"],
    effectStep: 2,
    seams: () => ({
      loss: (loss) => {
        intercept(loss, "evaluate", (evaluate) => (encoder, batch) => {
          loss.banks[0]!.onOptimizerStep();
          return evaluate(encoder, batch);
        });
        return loss;
      },
    }),
  },
  {
    name: "paper-bank-stale",
    what: "Without GradCache: the bank takes the rows of the batch before instead of the batch's own.",
    overrides: withBank({}, { loss: { class: "MultipleNegativesRankingLoss" } }),
    stages: ["bank"],
    effectStep: 2,
    seams: () => {
      let before: BankRows | undefined;
      return faultyPush((push, rows) => {
        const own = mapRows(rows, (column) => column.slice());
        push(before ?? own);
        before = own;
      })();
    },
  },
  {
    name: "bank-ignored",
    what: "Everything is cached, but the bank is never read.",
    overrides: withBank(),
    stages: ["scores"],
    effectStep: 2,
    seams: otherBank({ warmupSteps: 1000 }),
  },
  {
    name: "bank-hardness-lost",
    what: "The hardness penalty is off in a loss with a bank.",
    overrides: withBank({}, { loss: { hardnessMode: "in_batch_negatives", hardnessStrength: 5 } }),
    stages: ["scores"],
    effectStep: 1,
    seams: disguised({ hardnessMode: null, hardnessStrength: 0 }),
  },
];

function bankWidth(bank: EmbeddingBank, rows: BankRows): number {
  return bank.dimension || rows.embeddings[0]!.length / rows.rows;
}
