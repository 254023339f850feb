import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { OptionError } from "@gradbank/core";

/** What `npm run bench` was asked to do. */
export interface BenchmarkOptions {
  /** Threads of each side. */
  readonly threads: number;
  /** Rounds that count; a warm-up round comes before them. */
  readonly rounds: number;
  /** GradCache steps in a round. The direct loss takes as many smaller steps as the same rows need. */
  readonly steps: number;
  /** A file of pairs; undefined: WordNet. */
  readonly data: string | undefined;
  /** Queries and documents of the evaluation. */
  readonly queries: number;
  readonly documents: number;
  /** Whether memory at batch 1,024 is compared with memory at batch 64. */
  readonly batchSizeMemory: boolean;
}

/** What `memory.ts` was asked to do. */
export interface MemoryOptions {
  readonly threads: number;
  /** Processes measured for each batch size. */
  readonly runs: number;
  readonly data: string | undefined;
}

export const benchmarkHelp = `Usage: npm run bench -- [options]

Trains all-MiniLM-L6-v2 with gradbank and with Python sentence-transformers, in turns, on the same batches, and compares
pairs a second, peak memory and NDCG@10. Prints a table and writes test/bench/results/latest.json.

  --quick        3 rounds of 1 step, a smaller evaluation, no comparison of batch sizes; below 3 minutes on 2 cores
  --threads N    threads of each side; default: the processors that this process may use
  --rounds N     rounds that count, after a warm-up round; default 5, quick 3
  --steps N      GradCache steps (128 pairs each) in a round; the direct loss takes 4 N steps of 32 pairs;
                 default 2, quick 1
  --data PATH    pairs to train on: JSON Lines, CSV or TSV with two text columns, query first; default: WordNet
  --help         show this
`;

export const memoryHelp = `Usage: node --import tsx --conditions=@gradbank/source test/bench/memory.ts [options]

Compares the peak memory of GradCache training at batch 1,024 with that at batch 64; mini-batches of 16 in both, each
run in a process of its own. Writes test/bench/results/memory.json.

  --threads N    threads; default: the processors that this process may use
  --runs N       runs of each batch size; default 3
  --data PATH    pairs to train on, as for npm run bench; default: WordNet
  --help         show this
`;

/**
 * Reads the benchmark's command line.
 *
 * @returns undefined when help was asked for
 * @throws OptionError "unknown-option" or "invalid-option"
 */
export function parseBenchmarkOptions(commandLine: readonly string[]): BenchmarkOptions | undefined {
  const values = parse(commandLine, ["threads", "rounds", "steps", "data"], ["quick", "help"]);
  if (values.help) return undefined;
  const quick = values.quick === true;
  return {
    threads: count(values, "threads", availableParallelism()),
    rounds: count(values, "rounds", quick ? 3 : 5),
    steps: count(values, "steps", quick ? 1 : 2),
    data: values.data as string | undefined,
    queries: quick ? 100 : 300,
    documents: quick ? 500 : 2000,
    batchSizeMemory: !quick,
  };
}

/**
 * Reads the command line of `memory.ts`.
 *
 * @returns undefined when help was asked for
 * @throws OptionError "unknown-option" or "invalid-option"
 */
export function parseMemoryOptions(commandLine: readonly string[]): MemoryOptions | undefined {
  const values = parse(commandLine, ["threads", "runs", "data"], ["help"]);
  if (values.help) return undefined;
  return {
    threads: count(values, "threads", availableParallelism()),
    runs: count(values, "runs", 3),
    data: values.data as string | undefined,
  };
}

type Values = Readonly<Record<string, string | boolean | undefined>>;

function parse(commandLine: readonly string[], valued: readonly string[], flags: readonly string[]): Values {
  try {
    return parseArgs({
      args: [...commandLine],
      allowPositionals: false,
      strict: true,
      options: Object.fromEntries([
        ...valued.map((name) => [name, { type: "string" }] as const),
        ...flags.map((name) => [name, { type: "boolean" }] as const),
      ]),
    }).values as Values;
  } catch (cause) {
    const known = [...valued, ...flags].map((name) => `--${name}`);
    const isUnknown = (cause as NodeJS.ErrnoException).code === "ERR_PARSE_ARGS_UNKNOWN_OPTION";
    throw new OptionError(
      isUnknown ? "unknown-option" : "invalid-option",
      `${(cause as Error).message.split(". ")[0]}, in "${commandLine.join(" ")}". Known options: ${known.join(", ")}.`,
      { given: commandLine, known },
      { cause },
    );
  }
}

function count(values: Values, name: string, otherwise: number): number {
  const text = values[name];
  if (text === undefined) return otherwise;
  const value = /^\d+$/.test(String(text)) ? Number(text) : 0;
  if (value < 1 || value > 10_000)
    throw new OptionError("invalid-option", `--${name} is ${text}; expected a whole number from 1 to 10000.`, {
      option: name,
      value: text,
    });
  return value;
}
