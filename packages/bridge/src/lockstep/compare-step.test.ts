import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Batch,
  CachedMultipleNegativesRankingLoss,
  type ForwardBackwardOptions,
  MultipleNegativesRankingLoss,
  SentenceEncoder,
} from "@gradbank/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Reference } from "../reference/reference.ts";
import type { ReferenceModel } from "../reference/reference-types.ts";
import { compareStep, layerOfParameter, type StepComparison, stepStages } from "./compare-step.ts";

const anchors = ["red", "a quick brown fox", "rivers run to the sea", "the dog sleeps"];
const positives = ["a colour of blood and fire", "an animal", "water", "an animal at rest in the sun"];
const dropout = { seed: 3, step: 1 };

let root: string;
let reference: Reference;
let model: ReferenceModel;
let encoder: SentenceEncoder;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "gradbank-compare-"));
  reference = await Reference.start({ threads: 1 });
  const folder = join(root, "model");
  await reference.makeModel({ architecture: "bert", folder, texts: [...anchors, ...positives] });
  model = await reference.loadModel(folder, { dtype: "float64" });
  encoder = await SentenceEncoder.load(folder, { threads: 1 });
});
afterAll(async () => {
  await encoder?.release();
  await reference?.close();
  await rm(root, { recursive: true, force: true });
});

function columns() {
  return [encoder.tokenize(anchors), encoder.tokenize(positives)];
}

function unequal(comparison: StepComparison): string[] {
  expect(comparison.equal).toBe(comparison.stages.every(({ equal }) => equal));
  return comparison.stages.filter(({ equal }) => !equal).map(({ stage }) => stage);
}

describe("compareStep", () => {
  it("finds every stage of the same step equal, and says how equal", async () => {
    const loss = new CachedMultipleNegativesRankingLoss({ miniBatchSize: 3 });
    const comparison = await compareStep({
      encoder,
      reference,
      model,
      loss,
      columns: columns(),
      texts: [anchors, positives],
      dropout,
    });
    expect(unequal(comparison)).toEqual([]);
    expect(comparison.stages.map(({ stage }) => stage)).toEqual(stepStages);
    expect(comparison.loss.ours).toBeCloseTo(comparison.loss.theirs, 5);
    const parameters = comparison.stages.find(({ stage }) => stage === "parameter-gradients")!;
    expect(parameters.tensors.map(({ name }) => name).sort()).toEqual([...encoder.trainedParameters].sort());
    expect(parameters.tensors.every(({ scale }) => scale > 1e-6)).toBe(true);
    expect(parameters.tensors).toContain(parameters.worst);
    for (const parameter of encoder.trainedParameters)
      expect(encoder.parameters.gradient(parameter).every((value) => value === 0)).toBe(true);
  });

  it("has neither tokens without texts nor a replay without GradCache", async () => {
    const loss = new MultipleNegativesRankingLoss();
    const comparison = await compareStep({ encoder, reference, model, loss, columns: columns() });
    expect(unequal(comparison)).toEqual([]);
    expect(comparison.stages.map(({ stage }) => stage)).toEqual([
      "embeddings",
      "loss",
      "embedding-gradients",
      "parameter-gradients",
    ]);
  });

  it("sees another scale from the loss on", async () => {
    const loss = new MultipleNegativesRankingLoss({ scale: 20 });
    const options = { encoder, reference, model, loss, columns: columns() };
    const comparison = await compareStep({ ...options, referenceLossOptions: { scale: 20.1 } });
    expect(unequal(comparison)).toEqual(["loss", "embedding-gradients", "parameter-gradients"]);
  });

  it("sees a gradient that is scaled on one side only in the parameters", async () => {
    class Forgetful extends MultipleNegativesRankingLoss {
      override forwardBackward(
        encoder: SentenceEncoder,
        batch: Batch,
        options: ForwardBackwardOptions = {},
      ): Promise<number> {
        return super.forwardBackward(encoder, batch, { ...options, gradientScale: 1 });
      }
    }
    const comparison = await compareStep({
      encoder,
      reference,
      model,
      loss: new Forgetful(),
      columns: columns(),
      gradientScale: 1 / 2,
    });
    expect(unequal(comparison)).toEqual(["parameter-gradients"]);
  });

  it("sees other dropout masks from the embeddings on", async () => {
    class OtherMasks extends CachedMultipleNegativesRankingLoss {
      override forwardBackward(
        encoder: SentenceEncoder,
        batch: Batch,
        options: ForwardBackwardOptions = {},
      ): Promise<number> {
        return super.forwardBackward(encoder, batch, { ...options, dropout: { seed: 3, step: 2 } });
      }
    }
    const loss = new OtherMasks({ miniBatchSize: 3 });
    const comparison = await compareStep({ encoder, reference, model, loss, columns: columns(), dropout });
    // Both of our passes have the other masks: the replay still repeats the first pass.
    expect(unequal(comparison)).toEqual(["embeddings", "loss", "embedding-gradients", "parameter-gradients"]);
  });

  it("sees a replay that does not repeat the first pass", async () => {
    class OtherReplay extends CachedMultipleNegativesRankingLoss {
      override forwardBackward(
        encoder: SentenceEncoder,
        batch: Batch,
        options: ForwardBackwardOptions = {},
      ): Promise<number> {
        const { observer } = options;
        return super.forwardBackward(encoder, batch, {
          ...options,
          observer: {
            ...observer,
            onReplayedEmbeddings: (column, data) => {
              // The smallest step that a float32 can take.
              new Int32Array(data.buffer)[5]! += 1;
              observer?.onReplayedEmbeddings?.(column, data);
            },
          },
        });
      }
    }
    const loss = new OtherReplay({ miniBatchSize: 3 });
    const comparison = await compareStep({ encoder, reference, model, loss, columns: columns(), dropout });
    expect(unequal(comparison)).toEqual(["replayed-embeddings"]);
    const { worst } = comparison.stages.find(({ stage }) => stage === "replayed-embeddings")!;
    expect(worst).toMatchObject({ index: 5, tolerance: 0, equal: false });
  });

  it("sees texts that the tokenizers cut differently", async () => {
    const loss = new MultipleNegativesRankingLoss();
    const given = columns();
    given[1]![2] = given[1]![2]!.slice(0, -1);
    const comparison = await compareStep({
      encoder,
      reference,
      model,
      loss,
      columns: given,
      texts: [anchors, positives],
    });
    expect(unequal(comparison)).toEqual(["tokens"]);
    expect(comparison.stages[0]!.worst).toMatchObject({ name: "column 1", ours: -1 });
  });
});

it("knows a parameter's layer", () => {
  expect(layerOfParameter("encoder.layer.11.attention.self.key.bias")).toBe("encoder.layer.11");
  expect(layerOfParameter("transformer.layer.0.ffn.lin1.weight")).toBe("transformer.layer.0");
  expect(layerOfParameter("embeddings.word_embeddings.weight")).toBe("embeddings");
});
