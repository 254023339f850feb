/** Element types that graphs carry. `float64` exists for references and finite differences; training uses `float32`. */
export type DataType = "float32" | "float64" | "float16" | "int32" | "int64" | "uint8" | "bool";

export type FloatingDataType = "float32" | "float64" | "float16";

const floatingDataTypes: ReadonlySet<DataType> = new Set(["float32", "float64", "float16"]);

/** Whether values of this type can carry a gradient. */
export function isFloating(dataType: DataType): dataType is FloatingDataType {
  return floatingDataTypes.has(dataType);
}

/** Arrays that can hold the elements of a tensor. float16 travels as its bits. */
export type TensorData = Float32Array | Float64Array | Uint16Array | Int32Array | BigInt64Array | Uint8Array;

/** Bytes of one element. */
export const bytesPerElement: Readonly<Record<DataType, number>> = {
  float32: 4,
  float64: 8,
  float16: 2,
  int32: 4,
  int64: 8,
  uint8: 1,
  bool: 1,
};
