import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { directArm, untrained } from "./equal-memory.ts";
import type { Experiment } from "./experiment.ts";
import { planRuns, runExperiment } from "./run-experiment.ts";
import { type FoundByRun, noSteps, type RunRequest } from "./run-result.ts";
import { RunStore } from "./run-store.ts";

const experiment: Experiment = {
  name: "test",
  title: "test",
  maximumLength: 32,
  seeds: [1, 2],
  arms: [untrained, directArm("plain", "plain"), directArm("bank", "bank", { capacity: 64 })],
  table: [],
  figures: [],
  quick: {},
};

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-experiment-test-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Runs the experiment with processes that only say what they were asked; `failAt` makes one of them fail. */
async function runWith(changes: Partial<Experiment> = {}, { fresh = false, failAt = "", arms = [] as string[] } = {}) {
  const started: string[] = [];
  const changed = { ...experiment, ...changes };
  const results = runExperiment({
    plan: planRuns(changed, arms.length > 0 ? arms : undefined),
    request: { experiment: changed, model: "model", threads: 2 },
    store: new RunStore(folder),
    fresh,
    say: () => {},
    start: async ({ arm, seed }: RunRequest): Promise<FoundByRun> => {
      const name = `${arm.name} ${seed}`;
      if (name === failAt) throw new Error("interrupted");
      started.push(name);
      return { metrics: { ndcgAt10: seed / 10 }, evaluations: [], steps: noSteps, drift: [] };
    },
  });
  return { started, results: await results.catch((error: Error) => error.message) };
}

describe("planRuns", () => {
  it("takes the arms in turns, and arms without a seed once", () => {
    expect(planRuns(experiment).map(({ arm, seed }) => `${arm.name} ${seed}`)).toEqual([
      "untrained 1",
      "plain 1",
      "bank 1",
      "plain 2",
      "bank 2",
    ]);
  });

  it("refuses an unknown arm by name", () => {
    expect(() => planRuns(experiment, ["plain", "nothing"])).toThrow(/"nothing".*untrained, plain, bank/);
  });
});

describe("runExperiment", () => {
  it("goes on after the last run that was done", async () => {
    const first = await runWith({}, { failAt: "bank 1" });
    expect(first).toEqual({ started: ["untrained 1", "plain 1"], results: "interrupted" });
    const second = await runWith();
    expect(second.started).toEqual(["bank 1", "plain 2", "bank 2"]);
    expect((second.results as { arm: string; seed: number }[]).map(({ arm, seed }) => `${arm} ${seed}`)).toEqual([
      "untrained 1",
      "plain 1",
      "bank 1",
      "plain 2",
      "bank 2",
    ]);
    expect((await runWith()).started).toEqual([]);
  });

  it("keeps each result whole, and no other file", async () => {
    await runWith();
    const files = (await readdir(folder)).sort();
    expect(files).toEqual(
      ["untrained-seed-1", "plain-seed-1", "bank-seed-1", "plain-seed-2", "bank-seed-2"]
        .map((name) => `${name}.json`)
        .sort(),
    );
    for (const file of files) expect(JSON.parse(await readFile(join(folder, file), "utf8")).version).toBe(1);
  });

  it("runs again what has other settings, and only that", async () => {
    await runWith();
    const arms = [...experiment.arms.slice(0, 2), directArm("bank", "another title", { capacity: 128 })];
    expect((await runWith({ arms })).started).toEqual(["bank 1", "bank 2"]);
    const retitled = experiment.arms.map((arm) => ({ ...arm, title: "new" }));
    expect((await runWith({ arms: [retitled[0]!, retitled[1]!, arms[2]!] })).started).toEqual([]);
  });

  it("runs only the arms asked for, and reports the others where they are kept", async () => {
    expect((await runWith({}, { arms: ["plain"] })).started).toEqual(["plain 1", "plain 2"]);
    const { started, results } = await runWith({}, { arms: ["bank"] });
    expect(started).toEqual(["bank 1", "bank 2"]);
    expect(results).toHaveLength(4);
    expect((await runWith({}, { arms: ["plain"], fresh: true })).started).toEqual(["plain 1", "plain 2"]);
  });

  it("names a kept file that is no JSON", async () => {
    await runWith();
    await writeFile(new RunStore(folder).path("plain", 1), "{");
    expect((await runWith()).results).toMatch(/plain-seed-1\.json is no JSON.*--fresh/);
  });
});
