export { compareExactly, compareFacts, compareValues, defaultLimit } from "./comparison/compare-values.ts";
export { explain } from "./comparison/explain.ts";
export type { TensorComparison } from "./comparison/tensor-comparison.ts";
export { BridgeError, type BridgeErrorCode } from "./errors.ts";
export { GoldenError } from "./golden/errors.ts";
export { type Difference, Lockstep, type LockstepOptions, type LockstepStep } from "./lockstep/lockstep.ts";
export type { LockstepBatch } from "./lockstep/our-side.ts";
export {
  type LockstepMode,
  type LockstepReferenceLoss,
  openPythonSide,
  PythonSide,
  type PythonSideOptions,
  type UpdateArguments,
} from "./lockstep/python-side.ts";
export type * from "./lockstep/reference-side.ts";
export { type Stage, stageOrder, stages } from "./lockstep/stages.ts";
export { writeKeys } from "./protocol/keys.ts";
export type { FloatTensor, Tensor, TensorArrays, TensorDataType, TensorOf, Tensors } from "./protocol/tensor.ts";
export type { ConnectOptions } from "./python/connected-server.ts";
export { PythonProcess, type PythonProcessOptions } from "./python/python-process.ts";
export { PythonServer, type PythonServerOptions } from "./python/python-server.ts";
export type { ReferenceServer } from "./python/reference-server.ts";
export { Reference } from "./reference/reference.ts";
export type * from "./reference/reference-types.ts";
export { readParityReport } from "./report/json-report.ts";
export * from "./report/parity-report.ts";
export * from "./report/report-summary.ts";
export { type ReportPaths, writeReports } from "./report/write-reports.ts";
export { createCaseLoss, fittingReference } from "./suite/case-loss.ts";
export type * from "./suite/resolved-case.ts";
export { type ReadyCase, type RunCaseOptions, runCase } from "./suite/run-case.ts";
export { prepareWithPython, type RunSuiteOptions, runSuite } from "./suite/run-suite.ts";
export { readSuite, type ShippedSuite, shippedSuites } from "./suite/suite-file.ts";
export { suiteJsonSchema } from "./suite/suite-schema.ts";
