import { expect, test } from "vitest";
import { compareSides, sidesInTurn } from "./comparison.ts";
import type { Side, TrainingPlan } from "./side.ts";
import { workloads } from "./workload.ts";

test("sides take turns in beginning", () => {
  expect([0, 1, 2].map((round) => sidesInTurn("a", "b", round).join(""))).toEqual(["ab", "ba", "ab"]);
});

/** A side whose steps take times that are known. */
function side(name: Side["name"], secondsOfRound: readonly number[], peak: number, log: string[]): Side {
  let round = 0;
  return {
    name,
    processId: process.pid,
    prepare: async () => ({ peakReset: true }),
    round: async (steps) => {
      log.push(`${name} ${round}`);
      const seconds = secondsOfRound[round++]!;
      return { seconds: Array(steps).fill(seconds / steps), losses: Array(steps).fill(1) };
    },
    memory: async () => {
      log.push(`${name} memory`);
      return { resident: peak / 2, peak };
    },
    evaluate: async () => {
      log.push(`${name} evaluate`);
      return 0.5;
    },
    close: async () => {
      log.push(`${name} close`);
    },
  };
}

test("the warm-up does not count, ratios are per round, memory is read before the evaluation", async () => {
  const log: string[] = [];
  const lines: string[] = [];
  const result = await compareSides(workloads[0]!, {
    rounds: 2,
    stepsPerRound: 2,
    plan: {} as TrainingPlan,
    retrieval: { queries: {}, corpus: {}, relevantDocs: {} },
    startGradbank: async () => side("gradbank", [100, 4, 2], 300, log),
    startPython: async () => side("Python", [100, 8, 1], 200, log),
    onProgress: (line) => lines.push(line),
  });
  expect(log).toEqual([
    ..."gradbank 0,Python 0,Python 1,gradbank 1,gradbank 2,Python 2".split(","),
    ..."gradbank memory,gradbank evaluate,Python memory,Python evaluate,gradbank close,Python close".split(","),
  ]);
  // Two steps of 128 pairs in 4 s and in 2 s.
  expect(result.sides.gradbank.pairsPerSecond.rounds).toEqual([64, 128]);
  expect(result.sides.python.pairsPerSecond.rounds).toEqual([32, 256]);
  expect(result.speedRatio).toEqual({ median: 1.25, min: 0.5, max: 2, rounds: [2, 0.5] });
  expect(result.memoryRatio).toBe(1.5);
  expect(lines).toHaveLength(3);
  expect(lines[2]).toMatch(/round 2 of 2: gradbank 128\.0, Python 256\.0 pairs\/s/);
});

test("both processes are closed when a round fails", async () => {
  const log: string[] = [];
  const failing = { ...side("gradbank", [], 1, log), round: () => Promise.reject(new Error("no step")) };
  await expect(
    compareSides(workloads[1]!, {
      rounds: 1,
      stepsPerRound: 1,
      plan: {} as TrainingPlan,
      retrieval: { queries: {}, corpus: {}, relevantDocs: {} },
      startGradbank: async () => failing,
      startPython: async () => side("Python", [1, 1], 1, log),
      onProgress: () => {},
    }),
  ).rejects.toThrow("no step");
  expect(log).toEqual(["gradbank close", "Python close"]);
});
