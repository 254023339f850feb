import { describe, expect, it } from "vitest";
import type { OurTensor } from "./our-side.ts";
import type { ReferenceTensor } from "./reference-side.ts";
import { StageComparer } from "./stage-comparer.ts";
import type { Stage } from "./stages.ts";

/** A reference's tensor with float32 noise of one size everywhere. */
function reference(stage: Stage, name: string, values: readonly number[], noise: number): ReferenceTensor {
  const norm = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  const value = Float64Array.from(values);
  return { stage, name, shape: [values.length], value, norm, nonFinite: 0, noise: { max: noise, rms: noise } };
}

/** Ours, off by the same everywhere. */
function ours({ stage, name, shape, value }: ReferenceTensor, error: number): OurTensor {
  return { stage, name, shape, value: value!.map((number) => number + error) };
}

const weight = "encoder.layer.0.output.dense.weight";

function compareOne(comparer: StageComparer, tensor: ReferenceTensor, error: number) {
  return comparer.compare(tensor.stage, [ours(tensor, error)], [tensor])[0]!;
}

/** Scores with noise 1e-6, then the loss. */
function afterScores(comparer: StageComparer, loss: number): StageComparer {
  compareOne(comparer, reference("scores", "batch0", [10, 5, 5, 10], 1e-6), 0);
  compareOne(comparer, reference("loss", "batch0", [loss], 1e-7), 0);
  return comparer;
}

describe("StageComparer", () => {
  it("gives gradients the noise of the scores in relation to their size, when their own is small by luck", () => {
    for (const [stage, name] of [
      ["embedding-gradients", "batch0.column0"],
      ["parameter-gradients", weight],
    ] as const) {
      const lucky = reference(stage, name, [2, -2, 2, -2], 1e-8);
      expect(compareOne(afterScores(new StageComparer(), 3), lucky, 4e-6).equal).toBe(true);
      expect(compareOne(afterScores(new StageComparer(), 3), lucky, 4e-5).equal).toBe(false);
      expect(compareOne(new StageComparer(), lucky, 4e-6).equal).toBe(false);
    }
  });

  it("gives them more where the loss is near 0", () => {
    const lucky = reference("embedding-gradients", "batch0.column0", [2, -2, 2, -2], 1e-8);
    expect(compareOne(afterScores(new StageComparer(), 0.01), lucky, 4e-5).equal).toBe(true);
  });

  it("sees a parameter on its own scale where its layer's is smaller", () => {
    const bias = reference("parameter-gradients", "embeddings.LayerNorm.bias", [2, -2, 2, -2], 1e-8);
    const table = reference("parameter-gradients", "embeddings.word_embeddings.weight", new Array(1000).fill(0), 0);
    const comparer = afterScores(new StageComparer(), 3);
    const [compared] = comparer.compare("parameter-gradients", [ours(bias, 4e-6), ours(table, 0)], [bias, table]);
    expect(compared!.equal).toBe(true);
  });

  it("allows a free-running norm the norm of the gradients' noise, and a teacher-forced one nothing of it", () => {
    const gradient = reference("parameter-gradients", weight, [3, 4, 3, 4], 1e-6);
    const norm = reference("clip-norm", "norm", [Math.sqrt(50)], 1e-9);
    for (const [mode, equal] of [
      ["free-running", true],
      ["teacher-forced", false],
    ] as const) {
      const comparer = new StageComparer({ mode });
      compareOne(comparer, gradient, 0);
      expect(compareOne(comparer, norm, 1e-5).equal).toBe(equal);
    }
    const comparer = new StageComparer({ mode: "free-running" });
    compareOne(comparer, gradient, 0);
    expect(compareOne(comparer, norm, 1e-4).equal).toBe(false);
  });

  it("allows free-running moments their layer's relative noise: twice as much for squares", () => {
    // Relative noise 1e-6 of the gradients.
    const gradient = reference("parameter-gradients", weight, [1, 1, 1, 1], 1e-6);
    const compared = (mode: "free-running" | "teacher-forced", moment: string, error: number) => {
      const comparer = new StageComparer({ mode });
      compareOne(comparer, gradient, 0);
      return compareOne(comparer, reference("moments", `${moment}.${weight}`, [1, 1, 1, 1], 1e-9), error).equal;
    };
    expect(compared("free-running", "first", 4e-6)).toBe(true);
    expect(compared("free-running", "first", 9e-6)).toBe(false);
    expect(compared("free-running", "second", 9e-6)).toBe(true);
    expect(compared("free-running", "second", 2e-5)).toBe(false);
    expect(compared("teacher-forced", "first", 4e-6)).toBe(false);
  });
});
