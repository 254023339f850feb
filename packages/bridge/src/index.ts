export {
  type CompareStepOptions,
  compareStep,
  layerOfParameter,
  type StageComparison,
  type StepComparison,
  type StepStage,
  stepStages,
} from "./compare-step.ts";
export {
  type ComparisonLimits,
  compareTensor,
  relativeDifference,
  rootMeanSquare,
  shareOfTolerance,
  type TensorComparison,
} from "./compare-tensor.ts";
export { BridgeError, type BridgeErrorCode } from "./errors.ts";
export { PythonServer, type PythonServerOptions } from "./python-server.ts";
export { Reference } from "./reference.ts";
export type * from "./reference-types.ts";
export type { FloatTensor, Tensor, TensorArrays, TensorDataType, TensorOf, Tensors } from "./tensor.ts";
