import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { OptionError } from "@gradbank/core";

/** What `npm run experiment` was asked to do. */
export interface ExperimentOptions {
  readonly name: string;
  /** Arms to run; undefined: all. The report holds whatever has been run. */
  readonly arms: readonly string[] | undefined;
  /** Seeds to run; undefined: the experiment's. */
  readonly seeds: readonly number[] | undefined;
  readonly quick: boolean;
  /** Run again what has been run. */
  readonly fresh: boolean;
  readonly threads: number;
  /** Pairs, for an experiment that takes them from a file. */
  readonly data: string | undefined;
  /** Folder or hub id of a model, instead of the experiment's. */
  readonly model: string | undefined;
}

/** @param names experiments with their titles */
export function experimentHelp(names: readonly (readonly [name: string, title: string])[]): string {
  const width = Math.max(...names.map(([name]) => name.length));
  return `Usage: npm run experiment -- <name> [options]

Trains each arm of a named comparison with each seed, every run in a process of its own. Runs that are done are kept: an
interrupted experiment goes on where it stopped. Prints a table, and writes test/experiments/results/<name>.json and .md
and figures in docs/images.

${names.map(([name, title]) => `  ${name.padEnd(width)}  ${title}`).join("\n")}

  --arms a,b     only these arms
  --seeds 1,2    these seeds instead of the experiment's
  --quick        a few minutes' check that everything works; its numbers mean nothing, and it writes to .cache only
  --fresh        run again what is done
  --threads N    threads of each run; default: the processors that this process may use
  --data PATH    pairs, query first: JSON Lines, CSV or TSV; for experiments whose data does not come with the install
  --model NAME   folder or hub id of another model
  --help         show this
`;
}

/**
 * Reads the command line.
 *
 * @returns undefined when help was asked for, or nothing
 * @throws OptionError "unknown-option" or "invalid-option"
 */
export function parseExperimentOptions(commandLine: readonly string[]): ExperimentOptions | undefined {
  const { values, positionals } = parse(commandLine);
  if (values.help || (positionals.length === 0 && commandLine.length === 0)) return undefined;
  if (positionals.length !== 1)
    throw new OptionError(
      "invalid-option",
      `Expected the name of one experiment; given: ${positionals.length === 0 ? "none" : positionals.join(", ")}. Use --help for the names.`,
      { given: positionals },
    );
  return {
    name: positionals[0]!,
    arms: values.arms?.split(",").filter(Boolean),
    seeds: values.seeds?.split(",").map((seed) => wholeNumber("seeds", seed, 0, 0xffff_ffff)),
    quick: values.quick === true,
    fresh: values.fresh === true,
    threads: values.threads === undefined ? availableParallelism() : wholeNumber("threads", values.threads, 1, 1024),
    data: values.data,
    model: values.model,
  };
}

function parse(commandLine: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  const options = {
    arms: text,
    seeds: text,
    quick: flag,
    fresh: flag,
    threads: text,
    data: text,
    model: text,
    help: flag,
  };
  try {
    return parseArgs({ args: [...commandLine], allowPositionals: true, strict: true, options });
  } catch (cause) {
    const known = Object.keys(options).map((name) => `--${name}`);
    const isUnknown = (cause as NodeJS.ErrnoException).code === "ERR_PARSE_ARGS_UNKNOWN_OPTION";
    throw new OptionError(
      isUnknown ? "unknown-option" : "invalid-option",
      `${(cause as Error).message.split(". ")[0]}, in "${commandLine.join(" ")}". Known options: ${known.join(", ")}.`,
      { given: commandLine, known },
      { cause },
    );
  }
}

function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new OptionError(
    "invalid-option",
    `--${option}: ${JSON.stringify(text)} is no whole number from ${least} to ${most}.`,
    {
      option,
      value: text,
    },
  );
}
