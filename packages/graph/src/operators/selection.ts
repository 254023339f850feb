import type { DataType } from "../data-type.ts";
import { OperatorFailure } from "../errors.ts";
import type { TensorType, Value } from "../graph.ts";
import { int } from "../lowering.ts";
import { onnxDataType } from "../onnx-data-type.ts";
import type { Operator } from "../operator.ts";
import { broadcastShapes, formatShape, sameShape } from "../shape.ts";
import { normalizeAxis, requireFloating, requireSameDataType } from "./check.ts";
import type { Operand } from "./elementwise.ts";
import { sumToShape } from "./reduction.ts";

function comparison(name: string, opType: string): Operator {
  return {
    name,
    infer: ([a, b]) => {
      requireSameDataType(a!, b!);
      const shape = broadcastShapes(a!.shape, b!.shape);
      if (!shape) throw new OperatorFailure("shape-mismatch", "the shapes cannot be broadcast to one.");
      return [{ dataType: "bool", shape }];
    },
    lower: (lowering, inputs, outputs) => void lowering.emit(opType, inputs, { outputs }),
    constantInputs: [0, 1],
  };
}

export const equalOperator = comparison("equal", "Equal");
export const lessOperator = comparison("less", "Less");
export const greaterOperator = comparison("greater", "Greater");
export const greaterOrEqualOperator = comparison("greaterOrEqual", "GreaterOrEqual");

function requireBool(...types: readonly TensorType[]): void {
  for (const type of types)
    if (type.dataType !== "bool")
      throw new OperatorFailure("data-type-mismatch", `expected bool inputs, got ${type.dataType}.`);
}

export const andOperator: Operator = {
  name: "and",
  infer: ([a, b]) => {
    requireBool(a!, b!);
    const shape = broadcastShapes(a!.shape, b!.shape);
    if (!shape) throw new OperatorFailure("shape-mismatch", "the shapes cannot be broadcast to one.");
    return [{ dataType: "bool", shape }];
  },
  lower: (lowering, inputs, outputs) => void lowering.emit("And", inputs, { outputs }),
  constantInputs: [0, 1],
};

export const notOperator: Operator = {
  name: "not",
  infer: ([a]) => {
    requireBool(a!);
    return [{ dataType: "bool", shape: a!.shape }];
  },
  lower: (lowering, inputs, outputs) => void lowering.emit("Not", inputs, { outputs }),
  constantInputs: [0],
};

export const whereOperator: Operator = {
  name: "where",
  infer: ([condition, a, b]) => {
    requireBool(condition!);
    requireSameDataType(a!, b!);
    const both = broadcastShapes(a!.shape, b!.shape);
    const shape = both && broadcastShapes(condition!.shape, both);
    if (!shape) throw new OperatorFailure("shape-mismatch", "the shapes cannot be broadcast to one.");
    return [{ dataType: a!.dataType, shape }];
  },
  lower: (lowering, inputs, outputs) => void lowering.emit("Where", inputs, { outputs }),
  keeps: { inputs: [0] },
  constantInputs: [0],
  gradient: ({ outputGradient: g, needs, input, inputType }) => [
    undefined,
    needs(1) ? sumToShape(where(input(0), g, 0), inputType(1).shape) : undefined,
    needs(2) ? sumToShape(where(input(0), 0, g), inputType(2).shape) : undefined,
  ],
};

export const castOperator: Operator<{ to: DataType }> = {
  name: "cast",
  infer: ([x], { to }) => [{ dataType: to, shape: x!.shape }],
  lower: (lowering, inputs, outputs, { attributes }) =>
    void lowering.emit("Cast", inputs, { outputs, attributes: { to: int(onnxDataType(attributes.to)) } }),
  gradient: ({ outputGradient, inputType }) => [cast(outputGradient, inputType(0).dataType)],
};

/** Running sum along an axis; for positions, so it has no gradient. */
export const cumulativeSumOperator: Operator<{ axis: number }> = {
  name: "cumulativeSum",
  infer: ([x], { axis }) => {
    normalizeAxis(axis, x!.shape.length);
    return [{ dataType: x!.dataType, shape: x!.shape }];
  },
  lower: (lowering, [x], outputs, { attributes }) =>
    void lowering.emit("CumSum", [x!, lowering.scalar("int64", attributes.axis)], { outputs }),
};

/**
 * Inverted dropout with a given mask: x * mask / (1 - rate), mask 1 where the element is kept (PyTorch's `dropout`).
 * The mask is uint8 so that it costs one byte an element; one dequantising pass turns it into the factor.
 */
export const dropoutOperator: Operator<{ rate: number }> = {
  name: "dropout",
  infer: ([x, mask], { rate }) => {
    requireFloating(x!);
    if (!(rate >= 0 && rate < 1))
      throw new OperatorFailure("invalid-attribute", `the rate must be at least 0 and below 1, got ${rate}.`);
    if (mask!.dataType !== "uint8")
      throw new OperatorFailure("data-type-mismatch", `expected a uint8 mask, got ${mask!.dataType}.`);
    if (!sameShape(x!.shape, mask!.shape))
      throw new OperatorFailure("shape-mismatch", `expected a mask of shape ${formatShape(x!.shape)}.`);
    return [{ dataType: x!.dataType, shape: x!.shape }];
  },
  lower: (lowering, [x, mask], outputs, { attributes, inputs }) => {
    const { dataType } = inputs[0]!;
    const factor = 1 / (1 - attributes.rate);
    const kept =
      dataType === "float32"
        ? lowering.emit("DequantizeLinear", [mask!, lowering.scalar("float32", factor)])
        : lowering.emit("Mul", [
            lowering.emit("Cast", [mask!], { attributes: { to: int(onnxDataType(dataType)) } }),
            lowering.scalar(dataType, factor),
          ]);
    lowering.emit("Mul", [x!, kept], { outputs });
  },
  keeps: { inputs: [1] },
  constantInputs: [1],
  gradient: ({ outputGradient, input, attributes }) => [dropout(outputGradient, input(1), attributes.rate), undefined],
};

function other(value: Operand, reference: Value): Value {
  return typeof value === "number" ? reference.graph.scalar(reference.dataType, value) : value;
}

function compare(operator: Operator, a: Value, b: Operand): Value {
  return a.graph.apply(operator, [a, other(b, a)])[0]!;
}

/** a == b, as bool. */
export const equal = (a: Value, b: Operand): Value => compare(equalOperator, a, b);
/** a < b, as bool. */
export const less = (a: Value, b: Operand): Value => compare(lessOperator, a, b);
/** a > b, as bool. */
export const greater = (a: Value, b: Operand): Value => compare(greaterOperator, a, b);
/** a >= b, as bool. */
export const greaterOrEqual = (a: Value, b: Operand): Value => compare(greaterOrEqualOperator, a, b);
/** Logical and of two bool tensors. */
export const and = (a: Value, b: Value): Value => a.graph.apply(andOperator, [a, b])[0]!;
/** Logical not of a bool tensor. */
export const not = (a: Value): Value => a.graph.apply(notOperator, [a])[0]!;

/** a where the condition holds, b elsewhere; broadcast. One of a and b may be a number. */
export function where(condition: Value, a: Operand, b: Operand): Value {
  const reference = typeof a === "number" ? (b as Value) : a;
  return condition.graph.apply(whereOperator, [condition, other(a, reference), other(b, reference)])[0]!;
}

/** x in another element type; x itself when it has that type. */
export function cast(x: Value, to: DataType): Value {
  return x.dataType === to ? x : x.graph.apply(castOperator, [x], { to })[0]!;
}

/** Sum of all elements up to and including each one along `axis`. */
export function cumulativeSum(x: Value, axis: number): Value {
  return x.graph.apply(cumulativeSumOperator, [x], { axis })[0]!;
}

/**
 * Inverted dropout with an explicit mask.
 * @param mask uint8, the shape of x, 1 where the element is kept.
 * @param rate probability of dropping, at least 0 and below 1; what is kept is scaled by 1 / (1 - rate).
 */
export function dropout(x: Value, mask: Value, rate: number): Value {
  return x.graph.apply(dropoutOperator, [x, mask], { rate })[0]!;
}
