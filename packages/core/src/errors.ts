import { GradbankError } from "@gradbank/graph";

export { GradbankError } from "@gradbank/graph";

/** An option or argument whose value cannot be used. Codes: "invalid-option", "invalid-input". */
export class OptionError extends GradbankError {}

/** A data file or data set that cannot be read as asked: names the file, line and column. */
export class DataError extends GradbankError {}

/** A model folder that cannot be read or written: names the file, what it holds and what is supported. */
export class ModelFolderError extends GradbankError {}

/** A training run that had to stop: names the step and the batch. */
export class TrainingError extends GradbankError {}

/** ONNX Runtime or a device refused: names the session, the device and the cause. */
export class RuntimeError extends GradbankError {}
