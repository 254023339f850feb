import { BridgeError } from "../errors.ts";

/** The array that holds the values of each data type. A bool is one byte, 0 or 1. */
export interface TensorArrays {
  float32: Float32Array;
  float64: Float64Array;
  int32: Int32Array;
  int64: BigInt64Array;
  uint8: Uint8Array;
  bool: Uint8Array;
}

/** Data types that travel over the bridge. */
export type TensorDataType = keyof TensorArrays;

/** A dense tensor, row-major. */
export interface TensorOf<D extends TensorDataType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly data: TensorArrays[D];
}

/** A dense tensor of any data type of the bridge. */
export type Tensor = { [D in TensorDataType]: TensorOf<D> }[TensorDataType];

/** A tensor of floating-point numbers. */
export type FloatTensor = TensorOf<"float32"> | TensorOf<"float64">;

/** Tensors by name. */
export type Tensors = Readonly<Record<string, Tensor>>;

const arrays = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

/** Names of the data types of the bridge. */
export const tensorDataTypes = Object.keys(arrays) as readonly TensorDataType[];

/** Whether `value` names a data type of the bridge. */
export function isTensorDataType(value: unknown): value is TensorDataType {
  return typeof value === "string" && Object.hasOwn(arrays, value);
}

/** Bytes of a tensor of this data type and shape. */
export function byteLength(dtype: TensorDataType, shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, arrays[dtype].BYTES_PER_ELEMENT);
}

/** A view of a tensor's bytes, as they travel. */
export function tensorBytes(name: string, tensor: Tensor): Uint8Array {
  const expected = byteLength(tensor.dtype, tensor.shape);
  if (!(tensor.data instanceof arrays[tensor.dtype]) || tensor.data.byteLength !== expected) {
    throw new BridgeError(
      "invalid-tensor",
      `Tensor "${name}" of dtype ${tensor.dtype} and shape [${tensor.shape.join(", ")}] needs a ` +
        `${arrays[tensor.dtype].name} of ${expected} bytes; got a ${tensor.data.constructor.name} of ` +
        `${tensor.data.byteLength} bytes.`,
      { name, dtype: tensor.dtype, shape: tensor.shape, expected, actual: tensor.data.byteLength },
    );
  }
  return new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
}

/** A tensor of `bytes`, whose length the caller has checked: over their own memory if they fill it, else over a copy. */
export function tensorFromBytes(dtype: TensorDataType, shape: readonly number[], bytes: Uint8Array): Tensor {
  // A large frame has a buffer of its own; a small one may start at any byte of a shared one.
  const { buffer } = bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
  return { dtype, shape, data: new arrays[dtype](buffer as ArrayBuffer) } as Tensor;
}
