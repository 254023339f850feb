/** `npm run experiment`: named comparisons of losses. */
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Reference } from "@gradbank/bridge";
import { GradbankError } from "@gradbank/core";
import { describeMachine } from "../bench/machine.ts";
import { say } from "../bench/progress.ts";
import { smallModel } from "../support/small-models.ts";
import { ExperimentError } from "./errors.ts";
import type { Experiment } from "./experiment.ts";
import { experiments } from "./experiments.ts";
import { experimentHelp, parseExperimentOptions } from "./options.ts";
import { writeReport } from "./report.ts";
import { planRuns, runExperiment } from "./run-experiment.ts";
import { RunStore } from "./run-store.ts";
import { startRun, stopRuns } from "./start-run.ts";

const folder = dirname(fileURLToPath(import.meta.url));
const repository = join(folder, "..", "..");

async function main(): Promise<void> {
  const options = parseExperimentOptions(process.argv.slice(2));
  if (!options) {
    process.stdout.write(experimentHelp(experiments.map(({ name, title }) => [name, title])));
    return;
  }
  const full = experiments.find(({ name }) => name === options.name);
  if (!full)
    throw new ExperimentError(
      "unknown-experiment",
      `There is no experiment ${JSON.stringify(options.name)}. There are: ${experiments.map(({ name }) => name).join(", ")}.`,
      { name: options.name },
    );
  const experiment: Experiment = {
    ...full,
    ...(options.quick ? full.quick : {}),
    ...(options.seeds ? { seeds: options.seeds } : {}),
  };
  if (experiment.data?.source === "file" && options.data === undefined)
    throw new ExperimentError(
      "data-missing",
      `${experiment.name} takes its pairs from a file: --data PATH, with ${experiment.data.expected}.`,
      { experiment: experiment.name },
    );
  const kept = join(repository, ".cache", "experiments", `${experiment.name}${options.quick ? "-quick" : ""}`);
  const model = options.model ?? experiment.model ?? (await localModel(experiment));
  const runs = await runExperiment({
    plan: planRuns(experiment, options.arms),
    request: {
      experiment,
      model,
      threads: options.threads,
      ...(options.data === undefined ? {} : { dataPath: options.data }),
    },
    store: new RunStore(kept),
    fresh: options.fresh,
    start: startRun,
    say,
  });
  const machine = await describeMachine(options.threads);
  const { table, files } = await writeReport(experiment, runs, machine, {
    results: options.quick ? kept : join(folder, "results"),
    figures: options.quick ? kept : join(repository, "docs", "images"),
  });
  process.stdout.write(`\n${experiment.title}\n\n${table}\n\n${files.join("\n")}\n`);
}

/** all-MiniLM-L6-v2 from the Python environment, or the small model. */
async function localModel({ smallModel: isSmall }: Experiment): Promise<string> {
  const reference = await Reference.start();
  const folder = isSmall
    ? smallModel(reference, "bert", { hiddenSize: 384, layers: 1, intermediateSize: 64 })
    : reference.minilmFolder();
  return folder.finally(() => reference.close());
}

let isInterrupted = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => {
    // Under npm one Ctrl-C arrives twice: from the terminal and from npm.
    if (isInterrupted) return;
    isInterrupted = true;
    stopRuns();
    process.stderr.write("\nInterrupted. Runs that were done are kept: the same command goes on from there.\n");
    process.exit(128 + constants.signals[signal]);
  });

try {
  await main();
} catch (error) {
  if (GradbankError.isInstance(error)) process.stderr.write(`${error.name}: ${error.message}\n`);
  else console.error(error);
  process.exitCode = 1;
}
