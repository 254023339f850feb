import { Reference } from "@gradbank/bridge";
import { SentenceEncoder } from "@gradbank/core";
import { Graph, serializeGraph } from "@gradbank/graph";
import { afterAll, beforeAll, expect, it } from "vitest";
import { buildColumn, buildParameterGradients } from "../../packages/core/src/encoder/encoder-graph.ts";
import { exportOnnx } from "../../packages/core/src/encoder/export-onnx.ts";
import { smallModel } from "../support/small-models.ts";

let reference: Reference;
beforeAll(async () => {
  reference = await Reference.start({ threads: 1 });
});
afterAll(() => reference?.close());

it.each(["bert", "roberta", "xlm-roberta", "mpnet", "distilbert"] as const)(
  "onnx.checker accepts the graphs of %s",
  async (architecture) => {
    const encoder = await SentenceEncoder.load(await smallModel(reference, architecture), { threads: 1 });
    expect(await reference.checkOnnx(exportOnnx(encoder.modules))).toBeUndefined();

    const graph = new Graph("training");
    const { embeddings, wordVectors } = buildColumn(graph, encoder.modules, { prefix: "", dropout: true });
    const gradient = graph.input("embedding_gradient", "float32", embeddings.shape);
    const outputs = buildParameterGradients(
      graph,
      encoder.modules,
      [{ of: embeddings, gradient }],
      [{ prefix: "", wordVectors }],
    );
    const { bytes, nodes } = serializeGraph(graph, { outputs: { embeddings, ...outputs } });
    // FusedMatMul is ONNX Runtime's own; the checker knows ai.onnx alone.
    const custom = nodes.filter((node) => node.domain !== "").map((node) => node.opType);
    expect(new Set(custom)).toEqual(new Set(["FusedMatMul"]));
    const portable = serializeGraph(graph, { outputs: { embeddings, ...outputs }, provider: "webgpu" });
    expect(portable.nodes.every((node) => node.domain === "")).toBe(true);
    expect(await reference.checkOnnx(portable.bytes)).toBeUndefined();
    expect(bytes.length).toBeGreaterThan(0);
    await encoder.release();
  },
);

it("relative position buckets are MPNet's at every distance", async () => {
  // Longer than the 128 from which distances share the last bucket.
  const folder = await smallModel(reference, "mpnet", { maxPositionEmbeddings: 402, layers: 1 });
  const encoder = await SentenceEncoder.load(folder, { threads: 1 });
  const model = await reference.loadModel(folder, { dtype: "float64" });
  const text = Array.from({ length: 600 }, (_, index) => ["bank", "loss", "a", "text"][(index * index) % 4]).join(" ");
  const tokens = encoder.tokenize([text]);
  expect(tokens[0]!.length).toBe(400);
  const ours = await encoder.encode([text]);
  const theirs = await reference.encodeTokens(model, tokens);
  for (let index = 0; index < ours.dimension; index++)
    expect(Math.abs(ours.data[index]! - theirs.data[index]!)).toBeLessThanOrEqual(1e-5);
  await encoder.release();
});
