import { type CaseReport, type ResolvedCase, type Stage, stages } from "@gradbank/bridge";
import { expect } from "vitest";

/** A comparison with nothing, or of zeros, would prove nothing. */
export function expectComplete({ steps, configuration }: CaseReport, settings: ResolvedCase): void {
  expect(configuration!.compared).toBeGreaterThan(15);
  expect(steps).toHaveLength(settings.steps);
  const { bank, class: lossClass } = settings.loss;
  const absent = new Set<Stage>(["configuration"]);
  if (
    lossClass === "MultipleNegativesRankingLoss" &&
    settings.reference.class !== "PullRequest3612" &&
    settings.reference.class !== "CachedMultipleNegativesRankingLoss"
  )
    absent.add("replayed-embeddings");
  if (!bank) absent.add("bank");
  const columns = settings.columns * settings.gradientAccumulationSteps;
  for (const step of steps) {
    const withParameters = step.step === 1 || step.step % settings.parametersEvery === 0;
    const left = new Set<Stage>(withParameters ? [] : ["parameter-gradients", "moments", "weights"]);
    expect(step.stages.map(({ stage }) => stage)).toEqual(
      stages.filter((stage) => !absent.has(stage) && !left.has(stage)),
    );
    for (const { stage, compared, tensors } of step.stages) {
      if (["tokens", "embeddings", "embedding-gradients"].includes(stage)) expect(compared, stage).toBe(columns);
      if (["parameter-gradients", "weights"].includes(stage)) expect(compared, stage).toBeGreaterThan(15);
      if (["embeddings", "scores", "embedding-gradients", "parameter-gradients", "moments"].includes(stage))
        for (const { name, scale, elements } of tensors) {
          expect(scale, `scale of ${name}`).toBeGreaterThan(0);
          expect(elements, `elements of ${name}`).toBeGreaterThan(0);
        }
    }
  }
}
