/** `npm run bench`: gradbank against Python sentence-transformers. */
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { measureBatchSizeMemory } from "./batch-size-memory.ts";
import { type ComparisonResult, compareSides } from "./comparison.ts";
import { GradbankSide } from "./gradbank-side.ts";
import { describeMachine } from "./machine.ts";
import { withSide } from "./open-sides.ts";
import { type BenchmarkOptions, benchmarkHelp, parseBenchmarkOptions } from "./options.ts";
import { drawBatches, loadPairs } from "./pairs.ts";
import { say } from "./progress.ts";
import { PythonSide } from "./python-side.ts";
import { type BenchmarkResults, formatReport } from "./report.ts";
import { writeResults } from "./results-file.ts";
import { runCommand } from "./run-command.ts";
import type { TrainingPlan } from "./side.ts";
import { spread } from "./statistics.ts";
import { learningRate, maximumLength, seed, type Workload, warmupRatio, workloads } from "./workload.ts";

const resultsFile = join(dirname(fileURLToPath(import.meta.url)), "results", "latest.json");

async function runBenchmark(options: BenchmarkOptions): Promise<BenchmarkResults> {
  const { rounds, threads } = options;
  const startGradbank = () => GradbankSide.start();
  const startPython = () => PythonSide.start();
  const pairs = await loadPairs(options.data, options);

  const makePlan = async (folder: string, workload: Workload): Promise<TrainingPlan> => {
    const steps = stepsPerRound(workload, options) * (rounds + 1);
    return {
      folder,
      loss: workload,
      batches: await drawBatches(pairs.train, workload.batchSize, steps),
      threads,
      learningRate,
      warmupSteps: Math.ceil(warmupRatio * steps),
      maximumLength,
      seed,
    };
  };

  say("NDCG@10 before training");
  const { folder, python, machine } = await withSide(startPython, async (side) => {
    const folder = await side.modelFolder();
    const machine = await describeMachine(threads, side.information);
    await side.prepare(await makePlan(folder, workloads[0]!));
    return { folder, python: await side.evaluate(pairs.retrieval), machine };
  });
  const gradbank = await withSide(startGradbank, async (side) => {
    await side.prepare(await makePlan(folder, workloads[0]!));
    return side.evaluate(pairs.retrieval);
  });

  const comparisons: ComparisonResult[] = [];
  for (const workload of workloads)
    comparisons.push(
      await compareSides(workload, {
        rounds,
        stepsPerRound: stepsPerRound(workload, options),
        plan: await makePlan(folder, workload),
        retrieval: pairs.retrieval,
        startGradbank,
        startPython,
        onProgress: say,
      }),
    );
  const speedOf = (key: Workload["key"]) => comparisons.find(({ workload }) => workload.key === key)!.speedRatio;
  return {
    version: 1,
    date: new Date().toISOString(),
    machine,
    data: options.data === undefined ? "WordNet 3.1, definitions and entries" : basename(options.data),
    rounds,
    ratios: {
      gradcache: speedOf("gradcache"),
      direct: speedOf("direct"),
      peakMemory: spread(comparisons.map(({ memoryRatio }) => memoryRatio)),
    },
    ndcgAt10Before: { gradbank, python },
    comparisons,
    batchSizeMemory: options.batchSizeMemory
      ? await measureBatchSizeMemory({ folder, train: pairs.train, threads, runs: 3 })
      : undefined,
  };
}

function stepsPerRound(workload: Workload, { steps }: BenchmarkOptions): number {
  return steps * workload.stepFactor;
}

await runCommand(async () => {
  const options = parseBenchmarkOptions(process.argv.slice(2));
  if (options) {
    const results = await runBenchmark(options);
    await writeResults(resultsFile, results);
    process.stdout.write(`\n${formatReport(results)}\n\nAll numbers: ${resultsFile}\n`);
  } else process.stdout.write(benchmarkHelp);
});
