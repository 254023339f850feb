import { expect, test } from "vitest";
import type { BatchSizeMemory } from "./batch-size-memory.ts";
import type { ComparisonResult, SideResult } from "./comparison.ts";
import { type BenchmarkResults, formatBatchSizeMemory, formatReport } from "./report.ts";
import { ratioSpread, spread } from "./statistics.ts";
import { workloads } from "./workload.ts";

function sideResult(pairsPerSecond: number[], peak: number, ndcgAt10: number, otherPrograms: number): SideResult {
  const rounds = pairsPerSecond.map((speed) => ({
    seconds: [128 / speed],
    losses: [1],
    pairsPerSecond: speed,
    otherPrograms,
  }));
  return {
    warmUp: rounds[0]!,
    rounds,
    pairsPerSecond: spread(pairsPerSecond),
    memory: { resident: peak / 2, peak, peakReset: true },
    ndcgAt10,
  };
}

function results(otherPrograms: number): BenchmarkResults {
  const comparisons = workloads.map((workload): ComparisonResult => {
    const gradbank = sideResult([30, 20, 10], 1.5e9, 0.5, otherPrograms);
    const python = sideResult([10, 10, 20], 1e9, 0.25, otherPrograms);
    return {
      workload,
      stepsPerRound: 2,
      sides: { gradbank, python },
      speedRatio: ratioSpread(gradbank.pairsPerSecond.rounds, python.pairsPerSecond.rounds),
      memoryRatio: 1.5,
    };
  });
  return {
    version: 1,
    date: "2026-01-01T00:00:00.000Z",
    machine: {
      processor: "Abacus",
      cores: 2,
      memory: 8e9,
      system: "Linux",
      loadAverage: 0.25,
      threads: 2,
      commit: "abc",
      versions: { node: "20.20.0" },
    },
    data: "WordNet",
    rounds: 3,
    ratios: {
      gradcache: comparisons[0]!.speedRatio,
      direct: comparisons[1]!.speedRatio,
      peakMemory: spread([1.5, 1.5]),
    },
    ndcgAt10Before: { gradbank: 0.125, python: 0.125 },
    comparisons,
    batchSizeMemory: undefined,
  };
}

test("the report has speed, memory, quality and the machine", () => {
  const report = formatReport(results(0.01));
  expect(report).toContain("Abacus, 2 cores, 8 GB, Linux, load 0.3");
  expect(report).toMatch(
    /GradCache, batch 128 in 32s +20\.0 \(10\.0 to 30\.0\) +10\.0 \(10\.0 to 20\.0\) +2\.00 \(0\.50 to 3\.00\)/,
  );
  expect(report).toMatch(/Direct loss, batch 32 +1500 +1000 +1\.50/);
  expect(report).toMatch(/before training +0\.1250 +0\.1250 +0\.0000/);
  expect(report).toMatch(/batch 32, 8 steps +0\.5000 +0\.2500 +0\.2500/);
  expect(report).not.toContain("quiet machine");
});

test("a busy machine is named", () => {
  expect(formatReport(results(0.4))).toContain("Other programs used 40 % of the processors");
});

test.each([
  [1.1, "meets"],
  [1.101, "misses"],
])("a memory ratio of %d %s the goal", (ratio, verdict) => {
  const memory: BatchSizeMemory = {
    miniBatchSize: 16,
    loaded: spread([4e8]),
    small: { batchSize: 64, steps: 32, peak: spread([1e9]) },
    large: { batchSize: 1024, steps: 2, peak: spread([ratio * 1e9]) },
    ratio,
    trainingRatio: 2,
  };
  expect(formatBatchSizeMemory(memory)).toContain(`ratio ${ratio.toFixed(3)}: ${verdict} the goal`);
});
