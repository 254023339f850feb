export {
  type ComparisonLimits,
  compareTensor,
  relativeDifference,
  rootMeanSquare,
  shareOfTolerance,
  type TensorComparison,
} from "./comparison/compare-tensor.ts";
export { BridgeError, type BridgeErrorCode } from "./errors.ts";
export {
  type CompareStepOptions,
  compareStep,
  layerOfParameter,
  type StageComparison,
  type StepComparison,
  type StepStage,
  stepStages,
} from "./lockstep/compare-step.ts";
export type { FloatTensor, Tensor, TensorArrays, TensorDataType, TensorOf, Tensors } from "./protocol/tensor.ts";
export { PythonServer, type PythonServerOptions } from "./python/python-server.ts";
export { Reference } from "./reference/reference.ts";
export type * from "./reference/reference-types.ts";
