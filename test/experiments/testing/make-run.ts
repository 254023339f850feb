import { noSteps, type RunResult } from "../run-result.ts";

/** A result for tests. */
export function makeRun(given: Partial<RunResult> & Pick<RunResult, "arm">): RunResult {
  return {
    version: 1,
    settings: "settings",
    seed: 1,
    date: "2026-01-01T00:00:00.000Z",
    wallSeconds: 1,
    metrics: {},
    evaluations: [],
    steps: noSteps,
    drift: [],
    ...given,
  };
}
