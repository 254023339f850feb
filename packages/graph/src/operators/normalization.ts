import type { Value } from "../graph.ts";
import { float, int } from "../lowering.ts";
import type { Operator } from "../operator.ts";
import { normalizeAxis, requireEqual, requireFloating, requireRank, requireSameDataType } from "./check.ts";
import { add, divide, maximum, multiply, reciprocal, sqrt, subtract } from "./elementwise.ts";
import { reduceMean, reduceSum, sumToShape } from "./reduction.ts";
import { cast } from "./selection.ts";

export const softmaxOperator: Operator<{ axis: number }> = {
  name: "softmax",
  infer: ([x]) => {
    requireFloating(x!);
    return [{ dataType: x!.dataType, shape: x!.shape }];
  },
  lower: (lowering, inputs, outputs, { attributes }) =>
    void lowering.emit("Softmax", inputs, { outputs, attributes: { axis: int(attributes.axis) } }),
  keeps: { outputs: [0] },
  gradient: ({ outputGradient: g, output, attributes: { axis } }) => {
    const weighted = multiply(g, output(0));
    return [subtract(weighted, multiply(output(0), reduceSum(weighted, { axes: [axis], keepDimensions: true })))];
  },
};

/**
 * (x - mean) / sqrt(variance + epsilon) * weight + bias over the last axis (Ba et al., arXiv 1607.06450).
 * Its second and third outputs, mean and inverse standard deviation, are what the gradient keeps.
 */
export const layerNormalizationOperator: Operator<{ epsilon: number }> = {
  name: "layerNormalization",
  infer: ([x, weight, bias]) => {
    requireFloating(x!);
    requireSameDataType(x!, weight!, bias!);
    requireRank(weight!, 1, "the weight");
    requireRank(bias!, 1, "the bias");
    requireEqual(x!.shape.at(-1)!, weight!.shape[0]!, "the last axis of x and the weight");
    requireEqual(x!.shape.at(-1)!, bias!.shape[0]!, "the last axis of x and the bias");
    // ONNX computes the statistics of any input in float32 (`stash_type` 1).
    const statistics = { dataType: "float32" as const, shape: [...x!.shape.slice(0, -1), 1] };
    return [{ dataType: x!.dataType, shape: x!.shape }, statistics, statistics];
  },
  lower: (lowering, inputs, outputs, { attributes }) =>
    void lowering.emit("LayerNormalization", inputs, {
      outputs,
      attributes: { axis: int(-1), epsilon: float(attributes.epsilon) },
    }),
  keeps: { inputs: [0, 1], outputs: [1, 2] },
  gradient: ({ outputGradient: g, attributes: { epsilon }, needs, input, inputType, output }) => {
    const [mean, inverseDeviation] = statistics(input(0), output(1), output(2), epsilon);
    const normalized = multiply(subtract(input(0), mean), inverseDeviation);
    const lastAxis = { axes: [-1], keepDimensions: true };
    const scaled = needs(0) ? multiply(g, input(1)) : undefined;
    return [
      scaled
        ? multiply(
            subtract(
              subtract(scaled, reduceMean(scaled, lastAxis)),
              multiply(normalized, reduceMean(multiply(scaled, normalized), lastAxis)),
            ),
            inverseDeviation,
          )
        : undefined,
      needs(1) ? sumToShape(multiply(g, normalized), inputType(1).shape) : undefined,
      needs(2) ? sumToShape(g, inputType(2).shape) : undefined,
    ];
  },
};

/** Mean and inverse standard deviation in x's type: the kept ones, or exact ones where single precision is not enough. */
function statistics(x: Value, mean: Value, inverseDeviation: Value, epsilon: number): [Value, Value] {
  if (x.dataType !== "float64") return [cast(mean, x.dataType), cast(inverseDeviation, x.dataType)];
  const lastAxis = { axes: [-1], keepDimensions: true };
  const exactMean = reduceMean(x, lastAxis);
  const centered = subtract(x, exactMean);
  const variance = reduceMean(multiply(centered, centered), lastAxis);
  return [exactMean, reciprocal(sqrt(add(variance, epsilon)))];
}

/** e^x / sum(e^x) along an axis. */
export function softmax(x: Value, axis = -1): Value {
  return x.graph.apply(softmaxOperator, [x], { axis: normalizeAxis(axis, x.shape.length) })[0]!;
}

/**
 * Layer normalisation over the last axis.
 * @param weight `[features]`, also called gamma. @param bias `[features]`, also called beta.
 * @param epsilon added to the variance.
 */
export function layerNormalization(x: Value, weight: Value, bias: Value, epsilon: number): Value {
  return x.graph.apply(layerNormalizationOperator, [x, weight, bias], { epsilon })[0]!;
}

/**
 * x / max(||x||, epsilon) along the last axis, as PyTorch's `normalize`.
 * @param epsilon smallest divisor. Default 1e-12.
 */
export function l2Normalize(x: Value, epsilon = 1e-12): Value {
  const norm = sqrt(reduceSum(multiply(x, x), { axes: [-1], keepDimensions: true }));
  return divide(x, maximum(norm, epsilon));
}
