import type { TensorType, Value } from "../graph.ts";
import { int } from "../lowering.ts";
import { onnxDataType } from "../onnx-data-type.ts";
import type { Operator } from "../operator.ts";
import { requireEqual, requireRank } from "./check.ts";

/** Where the rows of a packed matrix lie in a padded one. */
export interface Packing {
  /** int64 `[packed]`: the padded row of each packed row, ascending. */
  readonly places: Value;
  /** int64 `[padded]`: the packed row that stands at each padded row; any for padding. */
  readonly origins: Value;
  /** bool `[padded, 1]`: false for padding. */
  readonly isFilled: Value;
}

function inferPacking(from: "packed" | "padded") {
  return ([x, places, origins, isFilled]: readonly TensorType[]): TensorType[] => {
    requireRank(x!, 2, "a matrix");
    const [packed, padded] = [places!.shape[0]!, origins!.shape[0]!];
    requireEqual(x!.shape[0]!, from === "packed" ? packed : padded, "the rows of the matrix and of the packing");
    requireEqual(isFilled!.shape[0]!, padded, "the padded rows");
    return [{ dataType: x!.dataType, shape: [from === "packed" ? padded : packed, x!.shape[1]!] }];
  };
}

/** Leaves padding out. Its adjoint is `unpack`. */
export const packOperator: Operator = {
  name: "pack",
  infer: inferPacking("padded"),
  lower: (lowering, [x, places], outputs) =>
    void lowering.emit("Gather", [x!, places!], { outputs, attributes: { axis: int(0) } }),
  keeps: { inputs: [1, 2, 3] },
  constantInputs: [1, 2, 3],
  gradient: ({ outputGradient, input }) => [
    unpack(outputGradient, { places: input(1), origins: input(2), isFilled: input(3) }),
    undefined,
    undefined,
    undefined,
  ],
};

/** Puts zeros where padding is. Its adjoint is `pack`. */
export const unpackOperator: Operator = {
  name: "unpack",
  infer: inferPacking("packed"),
  lower: (lowering, [x, , origins, isFilled], outputs, { inputs }) => {
    const rows = lowering.emit("Gather", [x!, origins!], { attributes: { axis: int(0) } });
    const factor = lowering.emit("Cast", [isFilled!], { attributes: { to: int(onnxDataType(inputs[0]!.dataType)) } });
    lowering.emit("Mul", [rows, factor], { outputs });
  },
  keeps: { inputs: [1, 2, 3] },
  constantInputs: [1, 2, 3],
  gradient: ({ outputGradient, input }) => [
    pack(outputGradient, { places: input(1), origins: input(2), isFilled: input(3) }),
    undefined,
    undefined,
    undefined,
  ],
};

/** The filled rows of a padded matrix: `[padded, width]` to `[packed, width]`. */
export function pack(x: Value, { places, origins, isFilled }: Packing): Value {
  return x.graph.apply(packOperator, [x, places, origins, isFilled])[0]!;
}

/** A packed matrix with rows of zeros where padding is: `[packed, width]` to `[padded, width]`. */
export function unpack(x: Value, { places, origins, isFilled }: Packing): Value {
  return x.graph.apply(unpackOperator, [x, places, origins, isFilled])[0]!;
}
