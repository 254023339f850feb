/**
 * What comparing costs: a lockstep step of all-MiniLM-L6-v2 with all its stages, against what both sides compute anyway. In
 * turns with a plain update of ours on the same batch; Python tells how long it computed, in float32 and float64.
 *
 * node --import tsx --conditions=@gradbank/source test/bench/parity-cost.ts [--rounds N]
 */
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  type CaseLoss,
  createCaseLoss,
  fittingReference,
  Lockstep,
  type LockstepMode,
  openPythonSide,
  Reference,
} from "@gradbank/bridge";
import {
  createAdamW,
  loadWordNet,
  OptionError,
  parseTrainingArguments,
  SentenceEncoder,
  WeightUpdate,
} from "@gradbank/core";
import { describeMachine } from "./machine.ts";
import { drawBatches } from "./pairs.ts";
import { say } from "./progress.ts";
import { formatMachine } from "./report.ts";
import { writeResults } from "./results-file.ts";
import { runCommand } from "./run-command.ts";
import { ratioSpread, type Spread, spread } from "./statistics.ts";
import { formatTable } from "./table.ts";

const resultsFile = join(dirname(fileURLToPath(import.meta.url)), "results", "parity-cost.json");

/** Share of the sides' own compute that comparing may add. */
const goal = 0.15;
const learningRate = 2e-5;

const plainLoss: CaseLoss = {
  class: "MultipleNegativesRankingLoss",
  scale: 20,
  similarityFunction: "cos_sim",
  directions: ["query_to_doc"],
  partitionMode: "joint",
  hardnessMode: null,
  hardnessStrength: 0,
  miniBatchSize: 32,
  miniBatchNumTokens: null,
  bank: null,
};

const workloads: readonly { readonly name: string; readonly loss: CaseLoss; readonly batchSize: number }[] = [
  { name: "direct loss, batch 32", loss: plainLoss, batchSize: 32 },
  {
    name: "GradCache, batch 128 in 32s",
    loss: { ...plainLoss, class: "CachedMultipleNegativesRankingLoss" },
    batchSize: 128,
  },
];

interface Result {
  readonly workload: string;
  readonly mode: LockstepMode;
  /** Seconds of a whole lockstep step. */
  readonly step: Spread;
  /** Seconds of a plain update of ours. */
  readonly ours: Spread;
  /** Seconds that Python computed. */
  readonly python: Spread;
  /** The step over the two sides' own compute, less 1. */
  readonly overhead: Spread;
}

async function measure(
  reference: Reference,
  { name, loss, batchSize }: (typeof workloads)[number],
  mode: LockstepMode,
  rounds: number,
): Promise<Result> {
  const folder = await reference.minilmFolder();
  const threads = availableParallelism();
  const [compared, plain] = [
    await SentenceEncoder.load(folder, { threads }),
    await SentenceEncoder.load(folder, { threads }),
  ];
  const side = await openPythonSide(reference, { folder, loss: fittingReference(loss), mode, dropout: true });
  const lockstep = Lockstep.open({ encoder: compared, loss: createCaseLoss(loss), side, mode, dropoutSeed: 1 });
  const update = new WeightUpdate(plain, createCaseLoss(loss), createAdamW(plain, parseTrainingArguments({})), {
    maxGradNorm: 1,
  });
  const batches = await drawBatches(await loadWordNet(), batchSize, rounds + 1);
  const seconds = { step: [] as number[], ours: [] as number[], python: [] as number[] };
  for (const [round, rows] of batches.entries()) {
    say(`${name}, ${mode}: ${round === 0 ? "warm-up" : `round ${round} of ${rounds}`}`);
    const texts = rows[0]!.map((_, column) => rows.map((row) => row[column]!));
    let began = performance.now();
    const columns = texts.map((column) => plain.tokenize(column));
    update.zeroGradients();
    await update.forwardBackward({ columns }, { batches: 1, dropout: { seed: 1, step: round } });
    update.apply(learningRate);
    const ours = (performance.now() - began) / 1000;
    const before = side.computeSeconds;
    began = performance.now();
    const { report } = await lockstep.step(
      [{ texts, columns: texts.map((column) => compared.tokenize(column)) }],
      learningRate,
    );
    const step = (performance.now() - began) / 1000;
    if (!report.equal) throw new OptionError("invalid-input", `Step ${report.step} differs: its time means nothing.`);
    if (round === 0) continue;
    seconds.step.push(step);
    seconds.ours.push(ours);
    seconds.python.push(side.computeSeconds - before);
  }
  await lockstep.close();
  await compared.release();
  await plain.release();
  const own = seconds.ours.map((ours, round) => ours + seconds.python[round]!);
  return {
    workload: name,
    mode,
    step: spread(seconds.step),
    ours: spread(seconds.ours),
    python: spread(seconds.python),
    overhead: ratioSpread(
      seconds.step.map((step, round) => step - own[round]!),
      own,
    ),
  };
}

function format(results: readonly Result[]): string {
  const percent = ({ median, min, max }: Spread) =>
    `${(100 * median).toFixed(0)} % (${(100 * min).toFixed(0)} to ${(100 * max).toFixed(0)})`;
  return formatTable([
    ["seconds, median", "a lockstep step", "our update", "Python's two steps", "comparing adds (least to greatest)"],
    ...results.map(({ workload, mode, step, ours, python, overhead }) => [
      `${workload}, ${mode}`,
      step.median.toFixed(2),
      ours.median.toFixed(2),
      python.median.toFixed(2),
      percent(overhead),
    ]),
  ]);
}

await runCommand(async () => {
  const { values } = parseArgs({ options: { rounds: { type: "string", default: "5" } } });
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new OptionError("invalid-option", `--rounds is ${values.rounds}; expected a whole number of at least 1.`, {});
  const reference = await Reference.start();
  try {
    const machine = await describeMachine(reference.information.threads, reference.information);
    const results: Result[] = [];
    for (const workload of workloads)
      for (const mode of ["teacher-forced", "free-running"] as const)
        results.push(await measure(reference, workload, mode, rounds));
    await writeResults(resultsFile, { version: 1, date: new Date().toISOString(), machine, rounds, goal, results });
    process.stdout.write(
      `\n${formatMachine(machine)}\n\n${format(results)}\n\nGoal: ${100 * goal} %. All numbers: ${resultsFile}\n`,
    );
  } finally {
    await reference.close();
  }
});
