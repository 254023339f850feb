import { join } from "node:path";
import { Reference } from "@gradbank/bridge";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cleanCases } from "./mutants/clean-cases.ts";
import { runCleanSteps } from "./mutants/clean-steps.ts";
import { CaseRunner } from "./mutants/run-case.ts";

describe("steps without a bug", () => {
  let reference: Reference;
  let runner: CaseRunner;

  beforeAll(async () => {
    reference = await Reference.start({ threads: 1 });
    runner = new CaseRunner(reference, join(import.meta.dirname, "..", ".cache", "models"));
  });
  afterAll(() => reference?.close());

  it("raises no false alarm in 1,000 of them", { timeout: 900_000 }, async () => {
    const { steps, alarms, distribution } = await runCleanSteps(runner, cleanCases(40, 25));
    console.table(
      distribution.map(({ median, p99, largest, ...rest }) => ({
        ...rest,
        median: median.toFixed(2),
        p99: p99.toFixed(2),
        largest: largest.toFixed(2),
      })),
    );
    expect(alarms.map(({ case: name, step, message }) => `${name}, step ${step}: ${message}`)).toEqual([]);
    expect(steps).toBe(1000);
  });
});
