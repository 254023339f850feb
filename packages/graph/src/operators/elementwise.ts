import { GraphError, OperatorFailure } from "../errors.ts";
import type { TensorType, Value } from "../graph.ts";
import type { Attributes, Operator } from "../operator.ts";
import { broadcastShapes } from "../shape.ts";
import { requireFloating, requireSameDataType } from "./check.ts";
import { sumToShape } from "./reduction.ts";
import { greater, greaterOrEqual, where } from "./selection.ts";

/** A tensor, or a number that is taken as a scalar of the other operand's type. */
export type Operand = Value | number;

function inferBroadcast(inputs: readonly TensorType[]): TensorType[] {
  const [a, b] = inputs as [TensorType, TensorType];
  requireSameDataType(a, b);
  const shape = broadcastShapes(a.shape, b.shape);
  if (!shape) throw new OperatorFailure("shape-mismatch", "the shapes cannot be broadcast to one.");
  return [{ dataType: a.dataType, shape }];
}

type BinaryGradient = Pick<Operator, "keeps" | "gradient">;

function binary(name: string, opType: string, rule: BinaryGradient): Operator {
  return {
    name,
    infer: inferBroadcast,
    lower: (lowering, inputs, outputs) => void lowering.emit(opType, inputs, { outputs }),
    ...rule,
  };
}

export const addOperator = binary("add", "Add", {
  gradient: ({ outputGradient: g, needs, inputType }) => [
    needs(0) ? sumToShape(g, inputType(0).shape) : undefined,
    needs(1) ? sumToShape(g, inputType(1).shape) : undefined,
  ],
});

export const subtractOperator = binary("subtract", "Sub", {
  gradient: ({ outputGradient: g, needs, inputType }) => [
    needs(0) ? sumToShape(g, inputType(0).shape) : undefined,
    needs(1) ? sumToShape(negate(g), inputType(1).shape) : undefined,
  ],
});

export const multiplyOperator = binary("multiply", "Mul", {
  keeps: { inputs: [0, 1] },
  gradient: ({ outputGradient: g, needs, input, inputType }) => [
    needs(0) ? sumToShape(multiply(g, input(1)), inputType(0).shape) : undefined,
    needs(1) ? sumToShape(multiply(g, input(0)), inputType(1).shape) : undefined,
  ],
});

export const divideOperator = binary("divide", "Div", {
  keeps: { inputs: [1], outputs: [0] },
  gradient: ({ outputGradient: g, needs, input, output, inputType }) => {
    const quotient = divide(g, input(1));
    return [
      needs(0) ? sumToShape(quotient, inputType(0).shape) : undefined,
      needs(1) ? sumToShape(negate(multiply(quotient, output(0))), inputType(1).shape) : undefined,
    ];
  },
});

/** Where both operands are equal, the gradient goes to the first. */
export const maximumOperator = binary("maximum", "Max", {
  keeps: { inputs: [0, 1] },
  gradient: ({ outputGradient: g, needs, input, inputType }) => {
    const first = greaterOrEqual(input(0), input(1));
    return [
      needs(0) ? sumToShape(where(first, g, 0), inputType(0).shape) : undefined,
      needs(1) ? sumToShape(where(first, 0, g), inputType(1).shape) : undefined,
    ];
  },
});

function inferUnary(inputs: readonly TensorType[]): TensorType[] {
  requireFloating(inputs[0]!);
  return [{ dataType: inputs[0]!.dataType, shape: inputs[0]!.shape }];
}

/** An element-wise function whose derivative is a function of its output. */
function unaryFromOutput(name: string, opType: string, derivative: (g: Value, y: Value) => Value): Operator {
  return {
    name,
    infer: inferUnary,
    lower: (lowering, inputs, outputs) => void lowering.emit(opType, inputs, { outputs }),
    keeps: { outputs: [0] },
    gradient: ({ outputGradient, output }) => [derivative(outputGradient, output(0))],
  };
}

/** An element-wise function whose derivative is a function of its input. */
function unaryFromInput(name: string, opType: string, derivative: (g: Value, x: Value) => Value): Operator {
  return {
    name,
    infer: inferUnary,
    lower: (lowering, inputs, outputs) => void lowering.emit(opType, inputs, { outputs }),
    keeps: { inputs: [0] },
    gradient: ({ outputGradient, input }) => [derivative(outputGradient, input(0))],
  };
}

export const negateOperator: Operator = {
  name: "negate",
  infer: inferUnary,
  lower: (lowering, inputs, outputs) => void lowering.emit("Neg", inputs, { outputs }),
  gradient: ({ outputGradient }) => [negate(outputGradient)],
};

export const expOperator = unaryFromOutput("exp", "Exp", (g, y) => multiply(g, y));
export const logOperator = unaryFromInput("log", "Log", (g, x) => divide(g, x));
export const sqrtOperator = unaryFromOutput("sqrt", "Sqrt", (g, y) => divide(multiply(g, 0.5), y));
export const reciprocalOperator = unaryFromOutput("reciprocal", "Reciprocal", (g, y) =>
  negate(multiply(g, multiply(y, y))),
);
export const tanhOperator = unaryFromOutput("tanh", "Tanh", (g, y) => multiply(g, subtract(1, multiply(y, y))));
export const sigmoidOperator = unaryFromOutput("sigmoid", "Sigmoid", (g, y) =>
  multiply(g, multiply(y, subtract(1, y))),
);
export const reluOperator = unaryFromOutput("relu", "Relu", (g, y) => where(greater(y, 0), g, 0));
/** d/dx erf(x) = 2 / sqrt(pi) exp(-x^2). */
export const erfOperator = unaryFromInput("erf", "Erf", (g, x) =>
  multiply(g, multiply(exp(negate(multiply(x, x))), 2 / Math.sqrt(Math.PI))),
);

/** x Phi(x), Phi the normal distribution's cumulative function (Hendrycks and Gimpel, arXiv 1606.08415). */
export const geluOperator = unaryFromInput("gelu", "Gelu", (g, x) => {
  const cumulative = add(multiply(erf(multiply(x, Math.SQRT1_2)), 0.5), 0.5);
  const density = multiply(exp(multiply(multiply(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return multiply(g, add(cumulative, multiply(x, density)));
});

/** Identity whose gradient is nothing: what is behind it counts as a constant. */
export const stopGradientOperator: Operator = {
  name: "stopGradient",
  infer: ([input]) => [{ dataType: input!.dataType, shape: input!.shape }],
  lower: (lowering, inputs, outputs) => void lowering.emit("Identity", inputs, { outputs }),
  constantInputs: [0],
};

function operands(a: Operand, b: Operand): [Value, Value] {
  if (typeof a !== "number" && typeof b !== "number") return [a, b];
  if (typeof a !== "number") return [a, a.graph.scalar(a.dataType, b as number)];
  if (typeof b !== "number") return [b.graph.scalar(b.dataType, a), b];
  throw new GraphError("invalid-attribute", `At least one operand must be a tensor; ${a} and ${b} were given.`, {
    a,
    b,
  });
}

function applyBinary(operator: Operator, a: Operand, b: Operand): Value {
  const inputs = operands(a, b);
  return inputs[0].graph.apply(operator, inputs)[0]!;
}

function applyUnary(operator: Operator, x: Value, attributes: Attributes = {}): Value {
  return x.graph.apply(operator, [x], attributes)[0]!;
}

/** a + b, broadcast. */
export const add = (a: Operand, b: Operand): Value => applyBinary(addOperator, a, b);
/** a - b, broadcast. */
export const subtract = (a: Operand, b: Operand): Value => applyBinary(subtractOperator, a, b);
/** a * b element by element, broadcast. */
export const multiply = (a: Operand, b: Operand): Value => applyBinary(multiplyOperator, a, b);
/** a / b, broadcast. */
export const divide = (a: Operand, b: Operand): Value => applyBinary(divideOperator, a, b);
/** The larger of a and b, broadcast. */
export const maximum = (a: Operand, b: Operand): Value => applyBinary(maximumOperator, a, b);
/** -x. */
export const negate = (x: Value): Value => applyUnary(negateOperator, x);
/** e^x. */
export const exp = (x: Value): Value => applyUnary(expOperator, x);
/** Natural logarithm. */
export const log = (x: Value): Value => applyUnary(logOperator, x);
/** Square root. */
export const sqrt = (x: Value): Value => applyUnary(sqrtOperator, x);
/** 1 / x. */
export const reciprocal = (x: Value): Value => applyUnary(reciprocalOperator, x);
/** Hyperbolic tangent. */
export const tanh = (x: Value): Value => applyUnary(tanhOperator, x);
/** 1 / (1 + e^-x). */
export const sigmoid = (x: Value): Value => applyUnary(sigmoidOperator, x);
/** max(x, 0). */
export const relu = (x: Value): Value => applyUnary(reluOperator, x);
/** Error function. ONNX Runtime's CPU provider has it for float32 only. */
export const erf = (x: Value): Value => applyUnary(erfOperator, x);
/** Gaussian error linear unit in its exact form, PyTorch's default. */
export const gelu = (x: Value): Value => applyUnary(geluOperator, x);
/** x, taken as a constant by `gradients`. */
export const stopGradient = (x: Value): Value => applyUnary(stopGradientOperator, x);

/**
 * GELU in the tanh approximation: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), Hugging Face's `gelu_new` and
 * `gelu_pytorch_tanh`.
 */
export function geluTanh(x: Value): Value {
  const cubic = multiply(multiply(x, multiply(x, x)), 0.044715);
  const inner = multiply(add(x, cubic), Math.sqrt(2 / Math.PI));
  return multiply(multiply(x, 0.5), add(tanh(inner), 1));
}

/** x * sigmoid(x), Hugging Face's `silu` and `swish`. */
export const silu = (x: Value): Value => multiply(x, sigmoid(x));
