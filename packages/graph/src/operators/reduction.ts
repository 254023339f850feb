import { OperatorFailure } from "../errors.ts";
import type { TensorType, Value } from "../graph.ts";
import { int, type Lowering } from "../lowering.ts";
import type { LoweredNode, Operator } from "../operator.ts";
import { type Dimension, type Shape, sameShape } from "../shape.ts";
import { normalizeAxis, requireFloating } from "./check.ts";
import { divide, exp, multiply, subtract } from "./elementwise.ts";
import { equal, where } from "./selection.ts";
import { expand, reshape } from "./shaping.ts";

interface ReductionAttributes {
  /** Axes to reduce, ascending, from 0. */
  readonly axes: readonly number[];
  readonly keepDimensions: boolean;
}

function inferReduction([x]: readonly TensorType[], { axes, keepDimensions }: ReductionAttributes): TensorType[] {
  requireFloating(x!);
  return [{ dataType: x!.dataType, shape: reducedShape(x!.shape, axes, keepDimensions) }];
}

function reducedShape(shape: Shape, axes: readonly number[], keepDimensions: boolean): Dimension[] {
  return keepDimensions
    ? shape.map((dimension, axis) => (axes.includes(axis) ? 1 : dimension))
    : shape.filter((_, axis) => !axes.includes(axis));
}

function lowerReduction(opType: string) {
  return (
    lowering: Lowering,
    [x]: readonly string[],
    outputs: readonly string[],
    { attributes }: LoweredNode<ReductionAttributes>,
  ): void => {
    lowering.emit(opType, [x!, lowering.int64s(attributes.axes)], {
      outputs,
      attributes: { keepdims: int(attributes.keepDimensions ? 1 : 0) },
    });
  };
}

/** The gradient of a reduction, stretched back over the reduced axes. */
function stretch(gradient: Value, shape: Shape, attributes: ReductionAttributes): Value {
  return expand(withReducedAxes(gradient, shape, attributes), shape);
}

function withReducedAxes(value: Value, shape: Shape, { axes, keepDimensions }: ReductionAttributes): Value {
  return keepDimensions ? value : reshape(value, reducedShape(shape, axes, true));
}

export const reduceSumOperator: Operator<ReductionAttributes> = {
  name: "reduceSum",
  infer: inferReduction,
  lower: lowerReduction("ReduceSum"),
  gradient: ({ outputGradient, inputType, attributes }) => [stretch(outputGradient, inputType(0).shape, attributes)],
};

export const reduceMeanOperator: Operator<ReductionAttributes> = {
  name: "reduceMean",
  infer: (inputs, attributes) => {
    const symbolic = attributes.axes.map((axis) => inputs[0]!.shape[axis]!).filter((size) => typeof size !== "number");
    if (symbolic.length > 0)
      throw new OperatorFailure(
        "shape-mismatch",
        `a mean over the symbolic dimension ${symbolic[0]} has no known divisor; use reduceSum and divide by the count.`,
      );
    return inferReduction(inputs, attributes);
  },
  lower: lowerReduction("ReduceMean"),
  gradient: ({ outputGradient, inputType, attributes }) => {
    const { shape } = inputType(0);
    const count = attributes.axes.reduce((product, axis) => product * (shape[axis] as number), 1);
    return [stretch(multiply(outputGradient, 1 / count), shape, attributes)];
  },
};

/** Where several elements are the largest, they share the gradient equally, as in PyTorch's `amax`. */
export const reduceMaxOperator: Operator<ReductionAttributes> = {
  name: "reduceMax",
  infer: inferReduction,
  lower: lowerReduction("ReduceMax"),
  keeps: { inputs: [0], outputs: [0] },
  gradient: ({ outputGradient, input, output, inputType, attributes }) => {
    const { shape } = inputType(0);
    const largest = equal(input(0), withReducedAxes(output(0), shape, attributes));
    const ones = where(largest, expand(input(0).graph.scalar(input(0).dataType, 1), shape), 0);
    const count = reduceSum(ones, { axes: attributes.axes, keepDimensions: true });
    return [multiply(ones, divide(withReducedAxes(outputGradient, shape, attributes), count))];
  },
};

/** log(sum(exp(x))) with the largest element taken out first, so that nothing overflows. */
export const logSumExpOperator: Operator<ReductionAttributes> = {
  name: "logSumExp",
  infer: inferReduction,
  lower: (lowering, [x], [y], { attributes }) => {
    const axes = lowering.int64s(attributes.axes);
    const keep = { attributes: { keepdims: int(1) } };
    const largest = lowering.emit("ReduceMax", [x!, axes], keep);
    const exponentials = lowering.emit("Exp", [lowering.emit("Sub", [x!, largest])]);
    const sum = lowering.emit("Log", [lowering.emit("ReduceSum", [exponentials, axes], keep)]);
    const kept = lowering.emit("Add", [sum, largest], attributes.keepDimensions ? { outputs: [y!] } : {});
    if (!attributes.keepDimensions) lowering.emit("Squeeze", [kept, axes], { outputs: [y!] });
  },
  keeps: { inputs: [0], outputs: [0] },
  gradient: ({ outputGradient, input, output, inputType, attributes }) => {
    const { shape } = inputType(0);
    const probabilities = exp(subtract(input(0), withReducedAxes(output(0), shape, attributes)));
    return [multiply(probabilities, withReducedAxes(outputGradient, shape, attributes))];
  },
};

/** Options of a reduction. */
export interface ReductionOptions {
  /** Axes to reduce; negative ones count from the end. Default: all. */
  readonly axes?: readonly number[];
  /** Keep reduced axes with size 1. Default false. */
  readonly keepDimensions?: boolean;
}

function reduce(operator: Operator<ReductionAttributes>, x: Value, options: ReductionOptions): Value {
  const rank = x.shape.length;
  const axes = [...new Set((options.axes ?? x.shape.map((_, axis) => axis)).map((axis) => normalizeAxis(axis, rank)))];
  if (axes.length === 0) return x;
  return x.graph.apply(operator, [x], {
    axes: axes.sort((a, b) => a - b),
    keepDimensions: options.keepDimensions ?? false,
  })[0]!;
}

/** Sum over axes. */
export const reduceSum = (x: Value, options: ReductionOptions = {}): Value => reduce(reduceSumOperator, x, options);
/** Mean over axes whose sizes are numbers. */
export const reduceMean = (x: Value, options: ReductionOptions = {}): Value => reduce(reduceMeanOperator, x, options);
/** Largest element over axes. */
export const reduceMax = (x: Value, options: ReductionOptions = {}): Value => reduce(reduceMaxOperator, x, options);
/** Logarithm of the sum of exponentials over axes. */
export const logSumExp = (x: Value, options: ReductionOptions = {}): Value => reduce(logSumExpOperator, x, options);

/** The adjoint of broadcasting: sums `x` over the axes along which `shape` was stretched. */
export function sumToShape(x: Value, shape: Shape): Value {
  if (sameShape(x.shape, shape)) return x;
  const added = x.shape.length - shape.length;
  const axes = x.shape
    .map((_, axis) => axis)
    .filter((axis) => axis < added || (shape[axis - added] === 1 && x.shape[axis] !== 1));
  const summed = reduceSum(x, { axes, keepDimensions: true });
  return sameShape(summed.shape, shape) ? summed : reshape(summed, shape);
}
