import { InferenceSession, Tensor } from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { Graph } from "./graph.ts";
import * as op from "./index.ts";
import { serializeGraph } from "./serialize.ts";

describe("serializeGraph", () => {
  it("leaves out what no output needs, and declares the inputs that remain", async () => {
    const graph = new Graph("pruned");
    const x = graph.input("x", "float32", ["rows", 2]);
    const unused = graph.input("unused", "float32", ["rows", 2]);
    op.exp(unused);
    const serialized = serializeGraph(graph, { outputs: { y: op.tanh(x) } });
    expect(Object.keys(serialized.inputs)).toEqual(["x"]);
    expect(serialized.nodes.map((node) => node.opType)).toEqual(["Tanh", "Identity"]);
    const session = await InferenceSession.create(serialized.bytes);
    expect(session.inputMetadata).toMatchObject([{ name: "x", type: "float32", shape: ["rows", 2] }]);
    expect(session.outputMetadata).toMatchObject([{ name: "y", type: "float32", shape: ["rows", 2] }]);
    await session.release();
  });

  it("stores initializers inside the model", async () => {
    const graph = new Graph("stored");
    const x = graph.input("x", "float32", ["rows", 2]);
    const weight = graph.input("weight", "float32", [1, 2]);
    const { bytes, inputs } = serializeGraph(graph, {
      outputs: { y: op.linear(x, weight) },
      initializers: new Map([["weight", Float32Array.of(3, 4)]]),
    });
    expect(Object.keys(inputs)).toEqual(["x"]);
    const session = await InferenceSession.create(bytes);
    const { y } = await session.run({ x: new Tensor("float32", Float32Array.of(1, 2, 5, 6), [2, 2]) });
    expect([...(y!.data as Float32Array)]).toEqual([11, 39]);
    await session.release();
  });

  it("computes products and sums of symbols when the shape needs them", async () => {
    const graph = new Graph("arithmetic");
    const x = graph.input("x", "float32", ["batch", "length"]);
    const y = graph.input("y", "float32", ["cached"]);
    const ones = op.expand(graph.scalar("float32", 1), ["2*batch*length+cached", 3]);
    const { bytes } = serializeGraph(graph, {
      outputs: { count: op.reduceSum(ones), used: op.reduceSum(op.add(op.reduceSum(x), op.reduceSum(y))) },
    });
    const session = await InferenceSession.create(bytes);
    const { count } = await session.run({
      x: new Tensor("float32", new Float32Array(10), [2, 5]),
      y: new Tensor("float32", new Float32Array(4), [4]),
    });
    expect(Number(count!.data[0])).toBe((2 * 2 * 5 + 4) * 3);
    await session.release();
  });

  it("refuses outputs of another graph, wrong initializers, clashing names and unknown symbols", () => {
    const graph = new Graph("refusals");
    const x = graph.input("x", "float32", ["rows"]);
    const foreign = new Graph("other").input("y", "float32", [1]);
    expect(() => serializeGraph(graph, { outputs: { y: foreign } })).toThrow(/belongs to graph "other"/);
    expect(() => serializeGraph(graph, { outputs: { x: op.exp(x) } })).toThrow(/Output "x" has the name of another/);
    expect(() =>
      serializeGraph(graph, { outputs: { y: op.exp(x) }, initializers: new Map([["z", new Float32Array(1)]]) }),
    ).toThrow(/Initializer "z" names no input of graph "refusals"\. Its inputs: x\./);
    expect(() =>
      serializeGraph(graph, { outputs: { y: op.exp(x) }, initializers: new Map([["x", new Float32Array(1)]]) }),
    ).toThrow(/Initializer "x" has 1 elements; the input's shape is \[rows\]/);
    expect(() => serializeGraph(graph, { outputs: { y: op.expand(graph.scalar("float32", 1), ["columns"]) } })).toThrow(
      /Dimension "columns" of graph "refusals" cannot be known/,
    );
  });
});
