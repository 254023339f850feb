import { describe, expect, it } from "vitest";
import { aggregate } from "./aggregate.ts";
import { directArm, updateTimes } from "./equal-memory.ts";
import type { Arm } from "./experiment.ts";
import { formatAggregate, formatMarkdown, markdownTable } from "./markdown-table.ts";
import { makeRun } from "./testing/make-run.ts";

describe("formatAggregate", () => {
  it("shows mean and ends, one value alone, and a dash for nothing", () => {
    expect(formatAggregate(aggregate([0.8, 0.82, 0.81]), 3)).toBe("0.810 (0.800 to 0.820)");
    expect(formatAggregate(aggregate([12.345]), 1)).toBe("12.3");
    expect(formatAggregate(undefined, 4)).toBe("-");
  });
});

describe("formatMarkdown", () => {
  it("gives every line the same cells and width, and keeps bars inside cells apart", () => {
    const lines = formatMarkdown([
      ["", "time, s"],
      ["a | b", "1"],
      ["c", "10,000.5"],
    ]).split("\n");
    expect(lines).toHaveLength(4);
    expect(new Set(lines.map((line) => line.length)).size).toBe(1);
    expect(lines.map((line) => line.split(/(?<!\\)\|/).length)).toEqual([4, 4, 4, 4]);
    expect(lines[1]).toMatch(/^\| -+ \| -+: \|$/);
    expect(lines[2]).toContain("a \\| b");
  });
});

describe("markdownTable", () => {
  it("has one line an arm that has run, in the experiment's order", () => {
    const arms = ["first", "second", "third"].map((name): Arm => ({ kind: "untrained", name, title: `arm ${name}` }));
    const table = [
      { title: "NDCG@10", metric: "ndcgAt10", digits: 2 },
      { title: "time / third", metric: "seconds", digits: 1, relativeTo: "third" },
    ];
    const runs = [
      makeRun({ arm: "third", metrics: { ndcgAt10: 0.5, seconds: 2 } }),
      makeRun({ arm: "first", metrics: { ndcgAt10: 0.25, seconds: 3 } }),
      makeRun({ arm: "first", seed: 2, metrics: { ndcgAt10: 0.75, seconds: 5 } }),
    ];
    const cells = markdownTable({ arms, table }, runs)
      .split("\n")
      .map((line) => line.split("|").map((cell) => cell.trim()));
    expect(cells.slice(2)).toEqual([
      ["", "arm first", "0.50 (0.25 to 0.75)", "2.0 (1.5 to 2.5)", ""],
      ["", "arm third", "0.50", "1.0", ""],
    ]);
  });

  it("takes numbers of arms from a run that timed them all, and leaves out that run's own line", () => {
    const timed = [directArm("a", "arm a"), directArm("b", "arm b")];
    const arms: Arm[] = [{ ...updateTimes, arms: timed }];
    const table = [{ title: "s", metric: "seconds", from: updateTimes.name, digits: 1 }];
    const runs = [makeRun({ arm: updateTimes.name, metrics: { "a.seconds": 2, "b.seconds": 3, seconds: 9 } })];
    expect(markdownTable({ arms, table }, runs).split("\n").slice(2)).toEqual(["| arm a | 2.0 |", "| arm b | 3.0 |"]);
  });
});
