import type { Graph, TensorType, Value } from "@gradbank/graph";
import type { Tensor } from "./tensor.ts";

/** Where programs run, as a user names it. */
export type Device = "cpu";

/**
 * Compiles graphs and runs them on one device. The rest of `core` knows no more of a device than this.
 */
export interface Runtime {
  readonly device: Device;
  /**
   * Lowers a graph for the device.
   * @param outputs name of each result to the value that gives it.
   * @throws RuntimeError "compilation-failed".
   */
  compile(graph: Graph, outputs: Readonly<Record<string, Value>>): Promise<Program>;
}

/** A compiled graph. */
export interface Program {
  readonly name: string;
  readonly inputs: Readonly<Record<string, TensorType>>;
  readonly outputs: Readonly<Record<string, TensorType>>;
  /**
   * Runs the program once. Inputs that the program does not have are ignored, so that callers can offer all weights.
   * @throws RuntimeError "missing-input", "run-failed".
   */
  run(inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
}
