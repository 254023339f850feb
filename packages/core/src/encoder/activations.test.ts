import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createOnnxRuntime } from "../runtime/onnx-runtime.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { ColumnRows, ModuleOutput } from "./encoder-programs.ts";
import { SentenceEncoder } from "./sentence-encoder.ts";

const folder = join(import.meta.dirname, "../model-folder/__fixtures__/saved-by-6.2");
const sequences = [
  Int32Array.of(2, 17, 250, 3),
  Int32Array.of(2, 3),
  Int32Array.of(2, 40, 41, 42, 43, 44, 3),
  Int32Array.of(2, 9, 3),
];
const rows = [2, 0, 3];
const tokens = 7 + 4 + 3;

const compiled: string[] = [];
let encoder: SentenceEncoder;
beforeAll(async () => {
  const real = createOnnxRuntime({ threads: 1 });
  const runtime: Runtime = {
    device: "cpu",
    compile: (graph, outputs) => {
      compiled.push(graph.name);
      return real.compile(graph, outputs);
    },
  };
  encoder = await SentenceEncoder.load(folder, { runtime });
});
afterAll(() => encoder.release());

const layer = "encoder.layer.0";
const modules = [
  "embeddings.LayerNorm",
  "embeddings.dropout",
  `${layer}.attention.self.query`,
  `${layer}.attention.self.key`,
  `${layer}.attention.self.value`,
  `${layer}.attention.output.dense`,
  `${layer}.attention.output.LayerNorm`,
  `${layer}.intermediate.dense`,
  `${layer}.output.dense`,
  `${layer}.output.LayerNorm`,
  "pooling",
] as const;

describe.each([
  ["without dropout", undefined],
  ["with dropout", { seed: 3, step: 4 }],
])("activations %s", (_, dropout) => {
  const column: ColumnRows = { sequences, rows, column: 1, dropout };
  let outputs: ModuleOutput[];
  beforeAll(async () => {
    outputs = await encoder.programs.activations(column);
  });
  const output = (module: string) => outputs.find((one) => one.module === module)!;

  it("have PyTorch's names in the order of computation, tokens alone", () => {
    expect(outputs.map(({ module }) => module)).toEqual(modules);
    const { hiddenSize } = encoder.architecture;
    for (const { module, shape, data } of outputs) {
      const width = module.endsWith("intermediate.dense") ? 2 * hiddenSize : hiddenSize;
      expect(shape).toEqual([module === "pooling" ? rows.length : tokens, width]);
      expect(data).toHaveLength(shape[0]! * shape[1]!);
    }
  });

  it("end in the embeddings of the pass", async () => {
    expect(output("pooling").data).toEqual(await encoder.programs.embed(column));
  });

  it("have the rows in the order given", async () => {
    const alone: ModuleOutput[][] = [];
    for (const row of rows) alone.push(await encoder.programs.activations({ ...column, rows: [row] }));
    outputs.forEach(({ data }, index) => {
      expectClose(
        data,
        alone.flatMap((own) => [...own[index]!.data]),
      );
    });
  });

  it("follow from each other by the modules' definitions", () => {
    const dropped = (site: string, data: ArrayLike<number>) => {
      if (!dropout) return Array.from(data);
      const lengths = rows.map((row) => sequences[row]!.length);
      const mask = encoder.programs.dropoutMasks(dropout, 1, rows, Math.max(...lengths), lengths)[site]!.data;
      return Array.from(data, (value, index) => (value * Number(mask[index])) / 0.9);
    };
    const sum = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a, (value, index) => value + b[index]!);
    const [norm, drop, query, key, value, dense, attentionNorm, inner, outer, outputNorm] = modules;
    const embedded = dropped("embeddings", output(norm).data);
    expectClose(output(drop).data, embedded);
    for (const module of [query, key, value]) expectClose(output(module).data, linear(module, embedded));
    const attended = dropped("layer0.attention_output", output(dense).data);
    expectClose(output(attentionNorm).data, normalized(attentionNorm, sum(attended, embedded)));
    expectClose(output(inner).data, linear(inner, output(attentionNorm).data));
    expectClose(output(outer).data, linear(outer, Array.from(output(inner).data, gelu)));
    const projected = dropped("layer0.output", output(outer).data);
    expectClose(output(outputNorm).data, normalized(outputNorm, sum(projected, output(attentionNorm).data)));
  });
});

it("an encoder compiles through the runtime that it is given, and refuses a second way to choose one", async () => {
  await encoder.programs.embed({ sequences, rows });
  expect(compiled).toContain("activations");
  expect(compiled).toContain("encode");
  const runtime = createOnnxRuntime({ threads: 1 });
  await expect(SentenceEncoder.load(folder, { runtime, threads: 2 })).rejects.toThrow(
    /given a runtime and threads 2\. Give them to the runtime/,
  );
  await expect(SentenceEncoder.load(folder, { runtime, device: "cpu" })).rejects.toThrow(/a runtime and device "cpu"/);
});

/** x W^T + b, one token after another. */
function linear(module: string, x: ArrayLike<number>): number[] {
  const { shape, data } = encoder.parameters.get(`${module}.weight`);
  const bias = encoder.parameters.get(`${module}.bias`).data;
  const [outer, inner] = shape as [number, number];
  return Array.from({ length: tokens * outer }, (_, index) => {
    const [token, unit] = [Math.floor(index / outer), index % outer];
    let sum = bias[unit]!;
    for (let place = 0; place < inner; place++) sum += x[token * inner + place]! * data[unit * inner + place]!;
    return sum;
  });
}

function normalized(module: string, x: readonly number[]): number[] {
  const [weight, bias] = ["weight", "bias"].map((kind) => encoder.parameters.get(`${module}.${kind}`).data);
  const width = weight!.length;
  return x.map((value, index) => {
    const start = index - (index % width);
    const token = x.slice(start, start + width);
    const mean = token.reduce((all, one) => all + one, 0) / width;
    const variance = token.reduce((all, one) => all + (one - mean) ** 2, 0) / width;
    const { layerNormEpsilon } = encoder.architecture;
    return ((value - mean) / Math.sqrt(variance + layerNormEpsilon)) * weight![index % width]! + bias![index % width]!;
  });
}

/** x times the normal distribution function at x, which is integrated by Simpson's rule. */
function gelu(x: number): number {
  const steps = 2000;
  const width = x / steps;
  const density = (t: number) => Math.exp(-(t * t) / 2) / Math.sqrt(2 * Math.PI);
  let sum = density(0) + density(x);
  for (let step = 1; step < steps; step++) sum += (step % 2 === 1 ? 4 : 2) * density(step * width);
  return x * (0.5 + (sum * width) / 3);
}

function expectClose(given: ArrayLike<number>, expected: ArrayLike<number>): void {
  const scale = Math.max(1, ...Array.from(expected, Math.abs));
  for (let index = 0; index < expected.length; index++)
    expect(Math.abs(given[index]! - expected[index]!)).toBeLessThan(1e-5 * scale);
}
