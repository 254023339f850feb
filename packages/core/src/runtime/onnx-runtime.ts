import { availableParallelism } from "node:os";
import { type DataType, formatShape, type Graph, serializeGraph, type TensorData, type Value } from "@gradbank/graph";
import * as ort from "onnxruntime-node";
import { OptionError, RuntimeError } from "../errors.ts";
import type { Device, Program, Runtime } from "./runtime.ts";
import type { Tensor } from "./tensor.ts";

export interface OnnxRuntimeOptions {
  /** Execution provider. Default `"cpu"`. */
  readonly device?: Device;
  /** Threads inside one operator. Default: the processors this process may use. */
  readonly threads?: number;
}

/**
 * ONNX Runtime in this process.
 *
 * Graphs run as they were written, but for basic rewrites: fusions that would compute the forward pass of a training
 * graph differently from the same pass alone stay off, so that GradCache's replay is equal bit by bit.
 * @throws OptionError "invalid-option" for a device or a thread count that cannot be.
 */
export function createOnnxRuntime(options: OnnxRuntimeOptions = {}): Runtime {
  const { device = "cpu", threads = availableParallelism() } = options;
  if (device !== "cpu")
    throw new OptionError("invalid-option", `device is "${device}"; this version runs on "cpu" only.`, { device });
  if (!Number.isInteger(threads) || threads < 1)
    throw new OptionError("invalid-option", `threads is ${threads}; it must be a whole number of at least 1.`, {
      threads,
    });
  const sessionOptions: ort.InferenceSession.SessionOptions = {
    executionProviders: [device],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "basic",
    // Batches differ in length: a memory pattern per shape would be kept for each of them.
    enableMemPattern: false,
    logSeverityLevel: 3,
    // Work in JavaScript between two runs would otherwise compete with spinning threads.
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  };
  return {
    device,
    compile: (graph, outputs) => OnnxProgram.create(graph, outputs, device, sessionOptions),
  };
}

class OnnxProgram implements Program {
  readonly name: string;
  readonly inputs: Program["inputs"];
  readonly outputs: Program["outputs"];
  readonly #session: ort.InferenceSession;

  private constructor(name: string, session: ort.InferenceSession, types: Pick<Program, "inputs" | "outputs">) {
    this.name = name;
    this.#session = session;
    this.inputs = types.inputs;
    this.outputs = types.outputs;
  }

  static async create(
    graph: Graph,
    outputs: Readonly<Record<string, Value>>,
    device: Device,
    options: ort.InferenceSession.SessionOptions,
  ): Promise<OnnxProgram> {
    const serialized = serializeGraph(graph, { outputs, provider: device });
    try {
      const session = await ort.InferenceSession.create(serialized.bytes, options);
      return new OnnxProgram(graph.name, session, serialized);
    } catch (cause) {
      throw new RuntimeError(
        "compilation-failed",
        `ONNX Runtime on ${device} refused graph "${graph.name}": ${messageOf(cause)}`,
        { graph: graph.name, device },
        { cause },
      );
    }
  }

  async run(inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    const feeds: Record<string, ort.Tensor> = {};
    for (const [name, type] of Object.entries(this.inputs)) {
      const tensor = inputs[name];
      if (!tensor)
        throw new RuntimeError(
          "missing-input",
          `Program "${this.name}" needs input "${name}" (${type.dataType} ${formatShape(type.shape)}); it was not given.`,
          { program: this.name, input: name },
        );
      feeds[name] = new ort.Tensor(tensor.dataType as "float32", tensor.data as Float32Array, tensor.shape);
    }
    let results: ort.InferenceSession.OnnxValueMapType;
    try {
      results = await this.#session.run(feeds);
    } catch (cause) {
      const shapes = Object.keys(this.inputs).map((name) => `${name} ${formatShape(inputs[name]!.shape)}`);
      throw new RuntimeError(
        "run-failed",
        `Program "${this.name}" failed: ${messageOf(cause)} Inputs: ${shapes.slice(0, 12).join(", ")}${shapes.length > 12 ? ", ..." : ""}.`,
        { program: this.name },
        { cause },
      );
    }
    return Object.fromEntries(
      Object.entries(results).map(([name, tensor]) => [
        name,
        { dataType: tensor.type as DataType, shape: tensor.dims, data: tensor.data as TensorData },
      ]),
    );
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
