import type { FloatTensor, Tensor, TensorOf, Tensors } from "./tensor.ts";

/** Token ids of texts as they travel: the ids of all rows one after another, and the length of each row. */
export function tokenTensors(rows: readonly ArrayLike<number | bigint>[]): {
  input_ids: TensorOf<"int64">;
  lengths: TensorOf<"int64">;
} {
  const ids = rows.flatMap((row) => Array.from(row, BigInt));
  return {
    input_ids: { dtype: "int64", shape: [ids.length], data: BigInt64Array.from(ids) },
    lengths: numbersTensor(rows.map((row) => row.length)),
  };
}

/** Whole numbers as a tensor of one axis. */
export function numbersTensor(values: ArrayLike<number>): TensorOf<"int64"> {
  return { dtype: "int64", shape: [values.length], data: BigInt64Array.from(Array.from(values, BigInt)) };
}

/** The same tensors under names that begin with `prefix`. */
export function withPrefix(tensors: Tensors, prefix: string): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [prefix + name, tensor]));
}

/** The tensors whose names begin with `prefix`, by the rest of their names. */
export function withoutPrefix(tensors: Tensors, prefix: string): Record<string, FloatTensor> {
  return Object.fromEntries(
    Object.entries(tensors)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), tensor as FloatTensor]),
  );
}
