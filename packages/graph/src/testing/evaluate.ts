import { InferenceSession, Tensor } from "onnxruntime-node";
import type { DataType, TensorData } from "../data-type.ts";
import type { Graph, Value } from "../graph.ts";
import { serializeGraph } from "../serialize.ts";

/** A tensor of numbers for tests. */
export interface NumberTensor {
  readonly dataType: DataType;
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

/** Runs a graph in ONNX Runtime on the CPU. */
export async function evaluate(
  graph: Graph,
  outputs: Readonly<Record<string, Value>>,
  feeds: Readonly<Record<string, NumberTensor>> = {},
): Promise<Record<string, NumberTensor>> {
  const run = await prepare(graph, outputs);
  try {
    return await run(feeds);
  } finally {
    await run.release();
  }
}

/** A compiled graph that can run many times. */
export async function prepare(graph: Graph, outputs: Readonly<Record<string, Value>>, threads = 1) {
  const serialized = serializeGraph(graph, { outputs });
  const session = await InferenceSession.create(serialized.bytes, { intraOpNumThreads: threads, logSeverityLevel: 3 });
  const run = async (feeds: Readonly<Record<string, NumberTensor>> = {}): Promise<Record<string, NumberTensor>> => {
    const given = Object.fromEntries(Object.keys(serialized.inputs).map((name) => [name, toTensor(feeds[name]!)]));
    const results = await session.run(given);
    return Object.fromEntries(
      Object.entries(results).map(([name, tensor]) => [
        name,
        {
          dataType: tensor.type as DataType,
          shape: [...tensor.dims],
          values: Array.from(tensor.data as Float32Array, Number),
        },
      ]),
    );
  };
  return Object.assign(run, { release: () => session.release() });
}

function toTensor({ dataType, shape, values }: NumberTensor): Tensor {
  return new Tensor(dataType, toData(dataType, values) as Float32Array, [...shape]);
}

function toData(dataType: DataType, values: readonly number[]): TensorData {
  switch (dataType) {
    case "float32":
      return Float32Array.from(values);
    case "float64":
      return Float64Array.from(values);
    case "int32":
      return Int32Array.from(values);
    case "int64":
      return BigInt64Array.from(values, BigInt);
    case "uint8":
    case "bool":
      return Uint8Array.from(values);
    case "float16":
      throw new Error("float16 is not fed in these tests");
  }
}
