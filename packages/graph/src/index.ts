export { bytesPerElement, type DataType, type FloatingDataType, isFloating, type TensorData } from "./data-type.ts";
export { GradbankError, GraphError, type GraphErrorCode } from "./errors.ts";
export { type DifferentiationTarget, gradients } from "./gradient.ts";
export { Graph, type Node, type TensorType, type Value } from "./graph.ts";
export type { ExecutionProvider, OnnxNode } from "./lowering.ts";
export type { AnyOperator, GradientContext, Operator } from "./operator.ts";
export {
  add,
  divide,
  erf,
  exp,
  gelu,
  geluTanh,
  log,
  maximum,
  multiply,
  negate,
  type Operand,
  reciprocal,
  relu,
  sigmoid,
  silu,
  sqrt,
  stopGradient,
  subtract,
  tanh,
} from "./operators/elementwise.ts";
export { linear, type MatmulOptions, matmul } from "./operators/linear-algebra.ts";
export { l2Normalize, layerNormalization, softmax } from "./operators/normalization.ts";
export { type Packing, pack, unpack } from "./operators/packing.ts";
export { logSumExp, type ReductionOptions, reduceMax, reduceMean, reduceSum } from "./operators/reduction.ts";
export {
  and,
  cast,
  cumulativeSum,
  dropout,
  equal,
  greater,
  greaterOrEqual,
  less,
  not,
  where,
} from "./operators/selection.ts";
export { concat, expand, gather, pad, range, reshape, scatterAdd, slice, transpose } from "./operators/shaping.ts";
export { operatorTable } from "./operators/table.ts";
export { operatorSetVersion, type SerializedGraph, type SerializeOptions, serializeGraph } from "./serialize.ts";
export {
  addDimensions,
  broadcastShapes,
  type Dimension,
  elementCount,
  formatShape,
  multiplyDimensions,
  type Shape,
  sameShape,
  subtractDimensions,
} from "./shape.ts";
