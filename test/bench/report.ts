import type { BatchSizeMemory } from "./batch-size-memory.ts";
import { batchSizeMemoryGoal } from "./batch-size-memory.ts";
import type { ComparisonResult, MeasuredRound } from "./comparison.ts";
import type { Machine } from "./machine.ts";
import { median, type Spread } from "./statistics.ts";
import { formatTable, type TableRows } from "./table.ts";

/** Share of the processors in other programs' use from which timings are not to be trusted. */
const busy = 0.1;

/** Everything that a run of the benchmark found; `latest.json` holds it as it is. */
export interface BenchmarkResults {
  readonly version: 1;
  readonly date: string;
  readonly machine: Machine;
  /** Where the pairs come from. */
  readonly data: string;
  readonly rounds: number;
  /**
   * gradbank over Python. `gradcache` and `direct`: pairs a second, one value a round, above 1 is better; `peakMemory`:
   * one value a loss (GradCache, direct), below 1 is better.
   */
  readonly ratios: { readonly gradcache: Spread; readonly direct: Spread; readonly peakMemory: Spread };
  /** NDCG@10 of the weights that training begins with. */
  readonly ndcgAt10Before: { readonly gradbank: number; readonly python: number };
  readonly comparisons: readonly ComparisonResult[];
  readonly batchSizeMemory: BatchSizeMemory | undefined;
}

/** The results as text for a terminal. */
export function formatReport(results: BenchmarkResults): string {
  const parts = [
    formatMachine(results.machine),
    `${results.data}; dropout on; ${results.rounds} rounds, median (least to greatest).`,
    formatTable(speedRows(results.comparisons)),
    formatTable(memoryRows(results.comparisons)),
    formatTable(qualityRows(results)),
  ];
  if (results.batchSizeMemory) parts.push(formatBatchSizeMemory(results.batchSizeMemory));
  const warning = busyWarning(results.comparisons);
  if (warning) parts.push(warning);
  return parts.join("\n\n");
}

/** Machine and versions, one line each. */
export function formatMachine(machine: Machine): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${machine.processor}, ${machine.cores} cores, ${(machine.memory / 1e9).toFixed(0)} GB, ${machine.system}, load ${machine.loadAverage.toFixed(1)}`,
    versions.join(", "),
    `${machine.threads} threads a side${machine.commit ? `, commit ${machine.commit}` : ""}`,
  ].join("\n");
}

/** The comparison of batch sizes as text. */
export function formatBatchSizeMemory({ loaded, small, large, ...rest }: BatchSizeMemory): string {
  const row = (title: string, steps: string, peak: Spread) => [title, steps, megabytes(peak)];
  const table = formatTable([
    [`GradCache, mini-batches of ${rest.miniBatchSize}`, "steps", "peak memory, MB"],
    row("model loaded", "0", loaded),
    row(`batch ${small.batchSize}`, String(small.steps), small.peak),
    row(`batch ${large.batchSize}`, String(large.steps), large.peak),
  ]);
  const verdict = rest.ratio <= batchSizeMemoryGoal ? "meets" : "misses";
  return `${table}\nratio ${rest.ratio.toFixed(3)}: ${verdict} the goal of at most ${batchSizeMemoryGoal} (without the loaded model ${rest.trainingRatio.toFixed(3)})`;
}

function speedRows(comparisons: readonly ComparisonResult[]): TableRows {
  return [
    ["pairs/s", "gradbank", "Python", "gradbank / Python"],
    ...comparisons.map(({ workload, sides, speedRatio }) => [
      workload.title,
      formatSpread(sides.gradbank.pairsPerSecond, 1),
      formatSpread(sides.python.pairsPerSecond, 1),
      formatSpread(speedRatio, 2),
    ]),
  ];
}

function memoryRows(comparisons: readonly ComparisonResult[]): TableRows {
  const peak = (bytes: number) => (bytes / 1e6).toFixed(0);
  return [
    ["peak memory, MB", "gradbank", "Python", "gradbank / Python"],
    ...comparisons.map(({ workload, sides, memoryRatio }) => [
      workload.title,
      peak(sides.gradbank.memory.peak),
      peak(sides.python.memory.peak),
      memoryRatio.toFixed(2),
    ]),
  ];
}

function qualityRows({ ndcgAt10Before: before, comparisons }: BenchmarkResults): TableRows {
  const row = (title: string, gradbank: number, python: number) => [
    title,
    gradbank.toFixed(4),
    python.toFixed(4),
    (gradbank - python).toFixed(4),
  ];
  return [
    ["NDCG@10, held-out pairs", "gradbank", "Python", "difference"],
    row("before training", before.gradbank, before.python),
    ...comparisons.map(({ workload, stepsPerRound, sides: { gradbank, python } }) =>
      row(
        `${workload.title}, ${stepsPerRound * (gradbank.rounds.length + 1)} steps`,
        gradbank.ndcgAt10,
        python.ndcgAt10,
      ),
    ),
  ];
}

function busyWarning(comparisons: readonly ComparisonResult[]): string | undefined {
  const shares = comparisons
    .flatMap(({ sides }) => [...sides.gradbank.rounds, ...sides.python.rounds])
    .map((round: MeasuredRound) => round.otherPrograms)
    .filter((share) => share !== undefined);
  if (shares.length === 0 || median(shares) < busy) return undefined;
  return `Other programs used ${(100 * median(shares)).toFixed(0)} % of the processors (median over the rounds): these timings say little. Run the benchmark on a quiet machine.`;
}

function formatSpread({ median, min, max }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)} to ${max.toFixed(digits)})`;
}

function megabytes({ median, min, max }: Spread): string {
  return formatSpread({ median: median / 1e6, min: min / 1e6, max: max / 1e6, rounds: [] }, 0);
}
