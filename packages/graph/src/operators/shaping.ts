import type { DataType } from "../data-type.ts";
import { OperatorFailure } from "../errors.ts";
import type { Graph, TensorType, Value } from "../graph.ts";
import { int, ints } from "../lowering.ts";
import { onnxDataType } from "../onnx-data-type.ts";
import type { Operator } from "../operator.ts";
import {
  addDimensions,
  broadcastShapes,
  canonicalDimension,
  type Dimension,
  elementCount,
  formatShape,
  type Shape,
  sameShape,
  subtractDimensions,
} from "../shape.ts";
import { normalizeAxis, requireEqual, requireRank, requireSameDataType } from "./check.ts";
import { sumToShape } from "./reduction.ts";

export const reshapeOperator: Operator<{ shape: Shape }> = {
  name: "reshape",
  infer: ([x], { shape }) => {
    if (elementCount(x!.shape) !== elementCount(shape))
      throw new OperatorFailure(
        "shape-mismatch",
        `${elementCount(x!.shape)} elements cannot take the shape ${formatShape(shape)} of ${elementCount(shape)}.`,
      );
    return [{ dataType: x!.dataType, shape }];
  },
  lower: (lowering, [x], outputs, { attributes: { shape }, inputs }) => {
    // Reshape copies a dimension for 0 and solves one for -1: most shapes then need no run-time arithmetic.
    const target = shape.map((dimension, axis) =>
      typeof dimension === "number" && dimension > 0 ? dimension : dimension === inputs[0]!.shape[axis] ? 0 : -1,
    );
    const solved = target.filter((dimension) => dimension === -1).length;
    lowering.emit("Reshape", [x!, solved <= 1 ? lowering.int64s(target) : lowering.dimensions(shape)], { outputs });
  },
  gradient: ({ outputGradient, inputType }) => [reshape(outputGradient, inputType(0).shape)],
};

export const transposeOperator: Operator<{ permutation: readonly number[] }> = {
  name: "transpose",
  infer: ([x], { permutation }) => {
    const rank = x!.shape.length;
    if ([...permutation].sort((a, b) => a - b).some((axis, index) => axis !== index) || permutation.length !== rank)
      throw new OperatorFailure(
        "invalid-attribute",
        `[${permutation.join(", ")}] is no permutation of the ${rank} axes.`,
      );
    return [{ dataType: x!.dataType, shape: permutation.map((axis) => x!.shape[axis]!) }];
  },
  lower: (lowering, inputs, outputs, { attributes }) =>
    void lowering.emit("Transpose", inputs, { outputs, attributes: { perm: ints(attributes.permutation) } }),
  gradient: ({ outputGradient, attributes: { permutation } }) => [
    transpose(
      outputGradient,
      permutation.map((_, axis) => permutation.indexOf(axis)),
    ),
  ],
};

export const expandOperator: Operator<{ shape: Shape }> = {
  name: "expand",
  infer: ([x], { shape }) => {
    const broadcast = broadcastShapes(x!.shape, shape);
    if (!broadcast || !sameShape(broadcast, shape))
      throw new OperatorFailure("shape-mismatch", `the input cannot be broadcast to ${formatShape(shape)}.`);
    return [{ dataType: x!.dataType, shape }];
  },
  lower: (lowering, [x], outputs, { attributes: { shape } }) =>
    void lowering.emit("Expand", [x!, lowering.dimensions(shape)], { outputs }),
  gradient: ({ outputGradient, inputType }) => [sumToShape(outputGradient, inputType(0).shape)],
};

export const concatOperator: Operator<{ axis: number }> = {
  name: "concat",
  infer: (inputs, { axis }) => {
    const [first] = inputs;
    if (!first) throw new OperatorFailure("invalid-attribute", "at least one input is needed.");
    requireSameDataType(...inputs);
    for (const input of inputs) {
      requireRank(input, first.shape.length, "inputs");
      input.shape.forEach((dimension, index) => {
        if (index !== axis) requireEqual(dimension, first.shape[index]!, `the sizes of axis ${index}`);
      });
    }
    const size = inputs.reduce<Dimension>((sum, input) => addDimensions(sum, input.shape[axis]!), 0);
    return [
      { dataType: first.dataType, shape: first.shape.map((dimension, index) => (index === axis ? size : dimension)) },
    ];
  },
  lower: (lowering, inputs, outputs, { attributes }) =>
    void lowering.emit("Concat", inputs, { outputs, attributes: { axis: int(attributes.axis) } }),
  gradient: ({ outputGradient, attributes: { axis }, inputCount, needs, inputType }) => {
    let start: Dimension = 0;
    return Array.from({ length: inputCount }, (_, index) => {
      const end = addDimensions(start, inputType(index).shape[axis]!);
      const gradient = needs(index) ? slice(outputGradient, axis, start, end) : undefined;
      start = end;
      return gradient;
    });
  },
};

interface SliceAttributes {
  readonly axis: number;
  readonly start: Dimension;
  readonly end: Dimension;
}

export const sliceOperator: Operator<SliceAttributes> = {
  name: "slice",
  infer: ([x], { axis, start, end }) => {
    const dimension = x!.shape[axis]!;
    const size = subtractDimensions(end, start);
    const outside = [start, size, subtractDimensions(dimension, end)].find(
      (length) => typeof length === "number" && length < 0,
    );
    if (outside !== undefined)
      throw new OperatorFailure(
        "shape-mismatch",
        `${start} to ${end} is no part of axis ${axis} of size ${dimension}.`,
      );
    return [{ dataType: x!.dataType, shape: x!.shape.map((length, index) => (index === axis ? size : length)) }];
  },
  lower: (lowering, [x], outputs, { attributes: { axis, start, end } }) =>
    void lowering.emit(
      "Slice",
      [x!, lowering.dimensions([start]), lowering.dimensions([end]), lowering.int64s([axis])],
      { outputs },
    ),
  gradient: ({ outputGradient, inputType, attributes: { axis, start, end } }) => [
    pad(outputGradient, axis, start, subtractDimensions(inputType(0).shape[axis]!, end)),
  ],
};

interface PadAttributes {
  readonly axis: number;
  readonly before: Dimension;
  readonly after: Dimension;
}

/** Zeros before and after along one axis: the adjoint of slice. */
export const padOperator: Operator<PadAttributes> = {
  name: "pad",
  infer: ([x], { axis, before, after }) => [
    {
      dataType: x!.dataType,
      shape: x!.shape.map((length, index) =>
        index === axis ? addDimensions(addDimensions(length, before), after) : length,
      ),
    },
  ],
  lower: (lowering, [x], outputs, { attributes: { axis, before, after } }) =>
    void lowering.emit("Pad", [x!, lowering.dimensions([before, after]), "", lowering.int64s([axis])], { outputs }),
  gradient: ({ outputGradient, inputType, attributes: { axis, before } }) => [
    slice(outputGradient, axis, before, addDimensions(before, inputType(0).shape[axis]!)),
  ],
};

/** Rows of a table, chosen by integer indices along its first axis. */
export const gatherOperator: Operator = {
  name: "gather",
  infer: ([table, indices]) => {
    requireIndices(indices!);
    if (table!.shape.length === 0)
      throw new OperatorFailure("shape-mismatch", "the table must have at least one axis.");
    return [{ dataType: table!.dataType, shape: [...indices!.shape, ...table!.shape.slice(1)] }];
  },
  lower: (lowering, inputs, outputs) => void lowering.emit("Gather", inputs, { outputs, attributes: { axis: int(0) } }),
  keeps: { inputs: [1] },
  constantInputs: [1],
  gradient: ({ outputGradient, input, inputType }) => [
    scatterAdd(input(1), outputGradient, inputType(0).shape[0]!),
    undefined,
  ],
};

/** Rows up to which a sum is written as a product with a one-hot matrix. */
const oneHotRows = 4096;

/**
 * The adjoint of gather: adds each update to the row that its index names, starting from zeros.
 *
 * Not ScatterND: ONNX Runtime 1.30 lets its threads add to one row at once, and updates get lost. A product with a one-hot
 * matrix is exact in any number of threads; for tables of many rows, ScatterElements adds one number after another.
 */
export const scatterAddOperator: Operator<{ rows: Dimension }> = {
  name: "scatterAdd",
  infer: ([indices, updates], { rows }) => {
    requireIndices(indices!);
    const rank = indices!.shape.length;
    if (!sameShape(updates!.shape.slice(0, rank), indices!.shape))
      throw new OperatorFailure("shape-mismatch", "the updates' first axes must be the indices' axes.");
    return [{ dataType: updates!.dataType, shape: [rows, ...updates!.shape.slice(rank)] }];
  },
  lower: (lowering, [indices, updates], outputs, { inputs, outputs: [type], attributes: { rows } }) => {
    const [indexType, updateType] = inputs as [TensorType, TensorType];
    const index64 =
      indexType.dataType === "int64" ? indices! : lowering.emit("Cast", [indices!], { attributes: { to: int(7) } });
    const count = elementCount(indexType.shape);
    const width = elementCount(updateType.shape.slice(indexType.shape.length));
    const flat = lowering.emit("Reshape", [updates!, lowering.dimensions([count, width])]);
    let sums: string;
    if (typeof rows === "number" && rows > oneHotRows) {
      const shape = lowering.dimensions([count, width]);
      const column = lowering.emit("Reshape", [index64, lowering.dimensions([count, 1])]);
      const zeros = lowering.emit("Expand", [lowering.scalar(type!.dataType, 0), lowering.dimensions([rows, width])]);
      sums = lowering.emit("ScatterElements", [zeros, lowering.emit("Expand", [column, shape]), flat], {
        attributes: { axis: int(0), reduction: { kind: "string", value: "add" } },
      });
    } else {
      const numbers = lowering.emit("Range", [
        lowering.scalar("int64", 0),
        lowering.dimensionScalar(rows),
        lowering.scalar("int64", 1),
      ]);
      const isRow = lowering.emit("Equal", [
        lowering.emit("Reshape", [numbers, lowering.dimensions([rows, 1])]),
        lowering.emit("Reshape", [index64, lowering.dimensions([1, count])]),
      ]);
      const oneHot = lowering.emit("Cast", [isRow], { attributes: { to: int(onnxDataType(type!.dataType)) } });
      sums = lowering.emit("MatMul", [oneHot, flat]);
    }
    lowering.emit("Reshape", [sums, lowering.dimensions(type!.shape)], { outputs });
  },
  keeps: { inputs: [0] },
  constantInputs: [0],
  gradient: ({ outputGradient, input }) => [undefined, gather(outputGradient, input(0))],
};

function requireIndices(type: TensorType): void {
  if (type.dataType !== "int64" && type.dataType !== "int32")
    throw new OperatorFailure("data-type-mismatch", `indices must be int32 or int64, got ${type.dataType}.`);
}

/** 0, 1, ... size - 1. */
export const rangeOperator: Operator<{ size: Dimension; dataType: DataType }> = {
  name: "range",
  infer: (_, { size, dataType }) => [{ dataType, shape: [size] }],
  lower: (lowering, _, outputs, { attributes: { size, dataType } }) => {
    const counted = lowering.emit(
      "Range",
      [lowering.scalar("int64", 0), lowering.dimensionScalar(size), lowering.scalar("int64", 1)],
      dataType === "int64" ? { outputs } : {},
    );
    if (dataType !== "int64") lowering.emit("Cast", [counted], { outputs, attributes: { to: int(6) } });
  },
};

/** The same elements in another shape. Symbolic dimensions must prove equal counts. */
export function reshape(x: Value, shape: Shape): Value {
  const canonical = shape.map(canonicalDimension);
  return sameShape(x.shape, canonical) ? x : x.graph.apply(reshapeOperator, [x], { shape: canonical })[0]!;
}

/** Axes in another order: axis i of the result is axis `permutation[i]` of x. */
export function transpose(x: Value, permutation: readonly number[]): Value {
  return x.graph.apply(transposeOperator, [x], { permutation })[0]!;
}

/** x broadcast to a shape. */
export function expand(x: Value, shape: Shape): Value {
  const canonical = shape.map(canonicalDimension);
  return sameShape(x.shape, canonical) ? x : x.graph.apply(expandOperator, [x], { shape: canonical })[0]!;
}

/** Tensors joined along an axis. */
export function concat(values: readonly [Value, ...Value[]], axis: number): Value {
  return values.length === 1
    ? values[0]
    : values[0].graph.apply(concatOperator, values, { axis: normalizeAxis(axis, values[0].shape.length) })[0]!;
}

/** Elements `start` to `end` (exclusive) along an axis. */
export function slice(x: Value, axis: number, start: Dimension, end: Dimension): Value {
  return x.graph.apply(sliceOperator, [x], {
    axis: normalizeAxis(axis, x.shape.length),
    start: canonicalDimension(start),
    end: canonicalDimension(end),
  })[0]!;
}

/** x with `before` and `after` zeros added along an axis. */
export function pad(x: Value, axis: number, before: Dimension, after: Dimension): Value {
  return x.graph.apply(padOperator, [x], { axis: normalizeAxis(axis, x.shape.length), before, after })[0]!;
}

/**
 * Rows of `table` by index: shape `[...indices, ...table without its first axis]`.
 * @param indices int32 or int64, each at least 0 and below the table's rows.
 */
export function gather(table: Value, indices: Value): Value {
  return table.graph.apply(gatherOperator, [table, indices])[0]!;
}

/** Zeros of `rows` rows to which each update is added at the row its index names. */
export function scatterAdd(indices: Value, updates: Value, rows: Dimension): Value {
  return updates.graph.apply(scatterAddOperator, [indices, updates], { rows })[0]!;
}

/** The numbers 0 to size - 1; size may be a symbol of one of the graph's inputs. */
export function range(graph: Graph, size: Dimension, dataType: "int64" | "int32" = "int64"): Value {
  return graph.apply(rangeOperator, [], { size: canonicalDimension(size), dataType })[0]!;
}
