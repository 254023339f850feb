import type { DataType, TensorData } from "@gradbank/graph";

/** A tensor in host memory: row-major elements of a known type and shape. */
export interface Tensor {
  readonly dataType: DataType;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** A float32 tensor. */
export function float32Tensor(data: Float32Array, shape: readonly number[]): Tensor {
  return { dataType: "float32", shape, data };
}

/** An int64 tensor. */
export function int64Tensor(data: BigInt64Array, shape: readonly number[]): Tensor {
  return { dataType: "int64", shape, data };
}

/** An int32 tensor. */
export function int32Tensor(data: Int32Array, shape: readonly number[]): Tensor {
  return { dataType: "int32", shape, data };
}

/** A uint8 tensor. */
export function uint8Tensor(data: Uint8Array, shape: readonly number[]): Tensor {
  return { dataType: "uint8", shape, data };
}

/** Adds numbers to a sum, element by element; `values` has at least as many. */
export function addInto(sum: Float32Array, values: Float32Array): void {
  for (let index = 0; index < sum.length; index++) sum[index]! += values[index]!;
}
