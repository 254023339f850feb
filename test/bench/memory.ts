/** Peak memory of GradCache training at batch 1,024 against batch 64; a part of `npm run bench` that also runs alone. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { measureBatchSizeMemory } from "./batch-size-memory.ts";
import { describeMachine } from "./machine.ts";
import { withSide } from "./open-sides.ts";
import { memoryHelp, parseMemoryOptions } from "./options.ts";
import { loadPairs } from "./pairs.ts";
import { PythonSide } from "./python-side.ts";
import { formatBatchSizeMemory, formatMachine } from "./report.ts";
import { writeResults } from "./results-file.ts";
import { runCommand } from "./run-command.ts";

const resultsFile = join(dirname(fileURLToPath(import.meta.url)), "results", "memory.json");

await runCommand(async () => {
  const options = parseMemoryOptions(process.argv.slice(2));
  if (options) {
    const { data, threads, runs } = options;
    const folder = await withSide(
      () => PythonSide.start(),
      (python) => python.modelFolder(),
    );
    // The split of the benchmark, so that both commands measure the same rows.
    const { train } = await loadPairs(data, { queries: 1, documents: 2000 });
    const memory = await measureBatchSizeMemory({ folder, train, threads, runs });
    const machine = await describeMachine(threads);
    await writeResults(resultsFile, { version: 1, date: new Date().toISOString(), machine, ...memory });
    process.stdout.write(`\n${formatMachine(machine)}\n\n${formatBatchSizeMemory(memory)}\n\n`);
  } else process.stdout.write(memoryHelp);
});
