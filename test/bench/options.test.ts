import { availableParallelism } from "node:os";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { benchmarkHelp, memoryHelp, parseBenchmarkOptions, parseMemoryOptions } from "./options.ts";

describe("parseBenchmarkOptions", () => {
  it("has defaults, and smaller ones for --quick", () => {
    expect(parseBenchmarkOptions([])).toEqual({
      threads: availableParallelism(),
      rounds: 5,
      steps: 2,
      data: undefined,
      queries: 300,
      documents: 2000,
      batchSizeMemory: true,
    });
    expect(parseBenchmarkOptions(["--quick"])).toMatchObject({ rounds: 3, steps: 1, batchSizeMemory: false });
  });

  it("takes whole numbers from 1 to 10000, whatever else is asked", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 1, max: 10_000 }), (rounds, steps) => {
        const given = [`--rounds=${rounds}`, "--quick", "--steps", String(steps), "--threads", "3", "--data", "a.tsv"];
        expect(parseBenchmarkOptions(given)).toMatchObject({ rounds, steps, threads: 3, data: "a.tsv" });
      }),
    );
  });

  it.each(["0", "-1", "1.5", "two", "1e3", "10001", ""])("refuses --rounds=%s", (value) => {
    expect(() => parseBenchmarkOptions([`--rounds=${value}`])).toThrow(/--rounds is .*; expected a whole number/);
  });

  it.each([
    [["--round", "3"], "unknown-option"],
    [["--runs", "3"], "unknown-option"],
    [["quick"], "invalid-option"],
    [["--rounds"], "invalid-option"],
    [["--quick=yes"], "invalid-option"],
  ])("refuses %j and names what is known", (given, code) => {
    expect(() => parseBenchmarkOptions(given)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining("--rounds") }),
    );
  });

  it("is undefined where help is asked for, and help names every option", () => {
    expect(parseBenchmarkOptions(["--quick", "--help"])).toBeUndefined();
    for (const option of ["quick", "threads", "rounds", "steps", "data", "help"])
      expect(benchmarkHelp).toContain(`--${option}`);
  });
});

describe("parseMemoryOptions", () => {
  it("has defaults, takes values and refuses the benchmark's options", () => {
    expect(parseMemoryOptions([])).toEqual({ threads: availableParallelism(), runs: 3, data: undefined });
    expect(parseMemoryOptions(["--runs", "5", "--threads=1"])).toMatchObject({ runs: 5, threads: 1 });
    expect(parseMemoryOptions(["--help"])).toBeUndefined();
    expect(() => parseMemoryOptions(["--quick"])).toThrow(expect.objectContaining({ code: "unknown-option" }));
    for (const option of ["threads", "runs", "data", "help"]) expect(memoryHelp).toContain(`--${option}`);
  });
});
