import { join } from "node:path";
import { Reference } from "@gradbank/bridge";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gallery } from "./mutants/gallery.ts";
import { galleryCase } from "./mutants/gallery-case.ts";
import { CaseRunner } from "./mutants/run-case.ts";
import { type Finding, runMutant } from "./mutants/run-mutant.ts";

/** Every deliberate bug must be found, in the first step in which it changes a bit, and be placed in its stage. */
describe("the gallery of deliberate bugs", { timeout: 300_000 }, () => {
  let reference: Reference;
  let runner: CaseRunner;
  const findings: Finding[] = [];

  beforeAll(async () => {
    reference = await Reference.start({ threads: 1 });
    runner = new CaseRunner(reference, join(import.meta.dirname, "..", ".cache", "models"));
  });
  afterAll(() => reference?.close());

  it("has at least 40 bugs, each with a name of its own", () => {
    expect(gallery.length).toBeGreaterThanOrEqual(40);
    expect(new Set(gallery.map(({ name }) => name)).size).toBe(gallery.length);
    for (const { stages, why } of gallery) if (stages.length > 1) expect(why).toBeDefined();
  });

  it.each(gallery.map((mutant) => [mutant.name, mutant] as const))("finds %s", async (_, mutant) => {
    const finding = await runMutant(runner, mutant);
    findings.push(finding);
    expect(finding.effectStep).toBe(mutant.effectStep);
    expect(finding.step).toBe(mutant.effectStep);
    if (mutant.module !== undefined) expect(finding.module).toBe(mutant.module);
  });

  it("names the right stage in at least 95 %", () => {
    expect(findings.length).toBe(gallery.length);
    const wrong = findings.filter(({ stageIsRight }) => !stageIsRight);
    const told = wrong.map(({ mutant, stage }) => `${mutant.name}: ${stage} instead of ${mutant.stages.join(" or ")}`);
    expect(wrong.length / gallery.length, told.join("\n")).toBeLessThanOrEqual(0.05);
  });

  const cases = new Map(gallery.map(({ name, overrides }) => [JSON.stringify(overrides ?? {}), { name, overrides }]));
  it.each([...cases.values()])("calls the case of $name equal without the bug", async ({ overrides }) => {
    const differences: string[] = [];
    let steps = 0;
    const settings = galleryCase(overrides);
    await runner.run(settings, {}, ({ divergence }) => {
      steps++;
      if (divergence) differences.push(`step ${divergence.step}, ${divergence.stage}: ${divergence.message}`);
      return true;
    });
    expect(differences).toEqual([]);
    expect(steps).toBe(settings.steps);
  });
});
