import { OptionError } from "@gradbank/core";
import { describe, expect, it } from "vitest";
import { experiments } from "./experiments.ts";
import { experimentHelp, parseExperimentOptions } from "./options.ts";

describe("parseExperimentOptions", () => {
  it("reads a name and options", () => {
    expect(
      parseExperimentOptions([
        "thread",
        "--arms",
        "a,b",
        "--seeds=3,4",
        "--quick",
        "--threads",
        "2",
        "--data",
        "x.jsonl",
      ]),
    ).toEqual({
      name: "thread",
      arms: ["a", "b"],
      seeds: [3, 4],
      quick: true,
      fresh: false,
      threads: 2,
      data: "x.jsonl",
      model: undefined,
    });
  });

  it("shows help for --help and for nothing", () => {
    expect(parseExperimentOptions(["--help"])).toBeUndefined();
    expect(parseExperimentOptions([])).toBeUndefined();
    const help = experimentHelp(experiments.map(({ name, title }) => [name, title]));
    for (const { name } of experiments) expect(help).toContain(`  ${name} `);
  });

  it.each([
    [["a", "b"], /one experiment; given: a, b/],
    [["--quick"], /one experiment; given: none/],
    [["a", "--seeds", "1,x"], /--seeds: "x"/],
    [["a", "--threads", "0"], /--threads: "0"/],
    [["a", "--banana"], /--banana.*Known options: --arms/],
  ])("refuses %j", (commandLine, message) => {
    expect(() => parseExperimentOptions(commandLine)).toThrow(OptionError);
    expect(() => parseExperimentOptions(commandLine)).toThrow(message);
  });
});
