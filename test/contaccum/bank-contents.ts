import type { FloatTensor } from "@gradbank/bridge";
import type { EmbeddingBank } from "@gradbank/core";

/** Copies of a bank's rows, without empty slots: embeddings `[rows, dimension]` and keys of the texts, one each a column. */
export function bankContents(bank: EmbeddingBank): {
  readonly columns: readonly FloatTensor[];
  readonly keys: readonly Float64Array[];
} {
  const { dimension } = bank;
  const occupied = bank.occupied();
  const slots = [...occupied.keys()].filter((slot) => occupied[slot] === 1);
  const columns = Array.from({ length: bank.columns }, (_, column) => column);
  return {
    columns: columns.map((column) => {
      const data = new Float32Array(slots.length * dimension);
      slots.forEach((slot, row) => {
        data.set(bank.embeddings(column).subarray(slot * dimension, (slot + 1) * dimension), row * dimension);
      });
      return { dtype: "float32", shape: [slots.length, dimension], data };
    }),
    keys: columns.map((column) => Float64Array.from(slots, (slot) => bank.keys(column)[slot]!)),
  };
}
