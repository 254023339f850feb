import { TensorProto_DataType } from "onnx-buf";
import type { DataType } from "./data-type.ts";

const onnxDataTypes: Readonly<Record<DataType, TensorProto_DataType>> = {
  float32: TensorProto_DataType.FLOAT,
  float64: TensorProto_DataType.DOUBLE,
  float16: TensorProto_DataType.FLOAT16,
  int32: TensorProto_DataType.INT32,
  int64: TensorProto_DataType.INT64,
  uint8: TensorProto_DataType.UINT8,
  bool: TensorProto_DataType.BOOL,
};

/** The number by which ONNX names a data type. */
export function onnxDataType(dataType: DataType): number {
  return onnxDataTypes[dataType];
}
