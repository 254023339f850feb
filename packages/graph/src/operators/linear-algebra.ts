import { OperatorFailure } from "../errors.ts";
import type { TensorType, Value } from "../graph.ts";
import { float, int, ints, type Lowering } from "../lowering.ts";
import type { Operator } from "../operator.ts";
import { broadcastShapes, type Shape } from "../shape.ts";
import { requireEqual, requireFloating, requireRank, requireSameDataType } from "./check.ts";
import { reduceSum, sumToShape } from "./reduction.ts";

interface MatmulAttributes {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly alpha: number;
}

/** alpha * op(A) op(B) over the last two axes; leading axes broadcast. */
export const matmulOperator: Operator<MatmulAttributes> = {
  name: "matmul",
  infer: ([a, b], { transposeA, transposeB }) => {
    requireFloating(a!, b!);
    requireSameDataType(a!, b!);
    for (const type of [a!, b!])
      if (type.shape.length < 2) throw new OperatorFailure("shape-mismatch", "both inputs need at least two axes.");
    const [rows, inner] = matrixShape(a!.shape, transposeA);
    const [otherInner, columns] = matrixShape(b!.shape, transposeB);
    requireEqual(inner, otherInner, "the inner dimensions");
    const batch = broadcastShapes(a!.shape.slice(0, -2), b!.shape.slice(0, -2));
    if (!batch) throw new OperatorFailure("shape-mismatch", "the leading axes cannot be broadcast to one shape.");
    return [{ dataType: a!.dataType, shape: [...batch, rows, columns] }];
  },
  lower: (lowering, [a, b], outputs, { attributes, inputs }) => {
    const { transposeA, transposeB, alpha } = attributes;
    const [left, right] = inputs as [TensorType, TensorType];
    if (left.shape.length === 2 && right.shape.length === 2) {
      lowering.emit("Gemm", [a!, b!], {
        outputs,
        attributes: { transA: int(+transposeA), transB: int(+transposeB), alpha: float(alpha) },
      });
      return;
    }
    if (!transposeA && !transposeB && alpha === 1) {
      lowering.emit("MatMul", [a!, b!], { outputs });
      return;
    }
    if (lowering.provider === "cpu" && left.dataType === "float32") {
      lowering.emit("FusedMatMul", [a!, b!], {
        outputs,
        domain: "com.microsoft",
        attributes: { transA: int(+transposeA), transB: int(+transposeB), alpha: float(alpha) },
      });
      return;
    }
    const factors = [
      transposeA ? swapLastAxes(lowering, a!, left.shape.length) : a!,
      transposeB ? swapLastAxes(lowering, b!, right.shape.length) : b!,
    ];
    if (alpha === 1) {
      lowering.emit("MatMul", factors, { outputs });
      return;
    }
    lowering.emit("Mul", [lowering.emit("MatMul", factors), lowering.scalar(left.dataType, alpha)], { outputs });
  },
  keeps: { inputs: [0, 1] },
  gradient: ({ outputGradient: g, attributes: { transposeA, transposeB, alpha }, needs, input, inputType }) => [
    needs(0)
      ? sumToShape(
          transposeA
            ? matmul(input(1), g, { transposeA: transposeB, transposeB: true, alpha })
            : matmul(g, input(1), { transposeB: !transposeB, alpha }),
          inputType(0).shape,
        )
      : undefined,
    needs(1)
      ? sumToShape(
          transposeB
            ? matmul(g, input(0), { transposeA: true, transposeB: transposeA, alpha })
            : matmul(input(0), g, { transposeA: !transposeA, alpha }),
          inputType(1).shape,
        )
      : undefined,
  ],
};

function matrixShape(shape: Shape, transposed: boolean) {
  const [rows, columns] = [shape.at(-2)!, shape.at(-1)!];
  return transposed ? ([columns, rows] as const) : ([rows, columns] as const);
}

function swapLastAxes(lowering: Lowering, name: string, rank: number): string {
  const permutation = Array.from({ length: rank }, (_, axis) => axis);
  [permutation[rank - 2], permutation[rank - 1]] = [rank - 1, rank - 2];
  return lowering.emit("Transpose", [name], { attributes: { perm: ints(permutation) } });
}

/** x W^T + b for a matrix x, with W in PyTorch's layout: one ONNX Gemm. */
export const linearOperator: Operator = {
  name: "linear",
  infer: ([x, weight, bias]) => {
    requireFloating(x!, weight!);
    requireSameDataType(x!, weight!, ...(bias ? [bias] : []));
    requireRank(x!, 2, "x");
    requireRank(weight!, 2, "the weight");
    requireEqual(x!.shape[1]!, weight!.shape[1]!, "the input features of x and of the weight");
    if (bias) {
      requireRank(bias, 1, "the bias");
      requireEqual(bias.shape[0]!, weight!.shape[0]!, "the output features of the bias and of the weight");
    }
    return [{ dataType: x!.dataType, shape: [x!.shape[0]!, weight!.shape[0]!] }];
  },
  lower: (lowering, inputs, outputs) => void lowering.emit("Gemm", inputs, { outputs, attributes: { transB: int(1) } }),
  keeps: { inputs: [0, 1] },
  gradient: ({ outputGradient: g, needs, input }) => [
    needs(0) ? matmul(g, input(1)) : undefined,
    needs(1) ? matmul(g, input(0), { transposeA: true }) : undefined,
    needs(2) ? reduceSum(g, { axes: [0] }) : undefined,
  ],
};

/** Options of `matmul`. */
export interface MatmulOptions {
  /** Use A with its last two axes swapped. Default false. */
  readonly transposeA?: boolean;
  /** Use B with its last two axes swapped. Default false. */
  readonly transposeB?: boolean;
  /** Factor of the product. Default 1. */
  readonly alpha?: number;
}

/** alpha * op(a) op(b): `[..., m, k]` times `[..., k, n]`, leading axes broadcast. */
export function matmul(a: Value, b: Value, options: MatmulOptions = {}): Value {
  const { transposeA = false, transposeB = false, alpha = 1 } = options;
  return a.graph.apply(matmulOperator, [a, b], { transposeA, transposeB, alpha })[0]!;
}

/**
 * A linear layer.
 * @param x `[rows, inputFeatures]`.
 * @param weight `[outputFeatures, inputFeatures]`, PyTorch's layout.
 * @param bias `[outputFeatures]`.
 */
export function linear(x: Value, weight: Value, bias?: Value): Value {
  return x.graph.apply(linearOperator, bias ? [x, weight, bias] : [x, weight])[0]!;
}
