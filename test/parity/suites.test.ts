import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import {
  type CaseReport,
  prepareWithPython,
  Reference,
  type ResolvedCase,
  readSuite,
  runCase,
  type Stage,
  shippedSuites,
  stages,
} from "@gradbank/bridge";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

// More than one: operators that lose updates between threads must be seen.
const threads = Math.max(2, availableParallelism());
const cacheFolder = fileURLToPath(new URL("../../.cache/parity", import.meta.url));

let reference: Reference;
beforeAll(async () => {
  reference = await Reference.start({ threads: 1 });
});
afterAll(() => reference?.close());

const suites = await Promise.all((await shippedSuites()).map(({ path }) => readSuite(path)));

describe.each(suites)("suite $name", ({ cases }) => {
  it.each(cases)("$name", { timeout: 600_000 }, async (settings) => {
    const report = await runCase(settings, () => prepareWithPython(settings, { reference, cacheFolder }), { threads });
    expect(report.error).toBeUndefined();
    expect(
      report.firstDivergence &&
        `step ${report.firstDivergence.step}, ${report.firstDivergence.stage}: ${report.firstDivergence.message}`,
    ).toBeUndefined();
    expect(report.verdict).toBe("equal");
    expectComplete(report, settings);
  });
});

/** A comparison with nothing, or of zeros, would prove nothing. */
function expectComplete({ steps, configuration }: CaseReport, settings: ResolvedCase): void {
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
