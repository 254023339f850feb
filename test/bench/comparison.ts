import type { BenchmarkRound, RetrievalData } from "@gradbank/bridge";
import { withSide } from "./open-sides.ts";
import type { ProcessMemory } from "./process-memory.ts";
import { watchOtherPrograms } from "./processor-use.ts";
import type { Side, TrainingPlan } from "./side.ts";
import { ratioSpread, type Spread, spread } from "./statistics.ts";
import type { Workload } from "./workload.ts";

/** One round of one side. */
export interface MeasuredRound extends BenchmarkRound {
  readonly pairsPerSecond: number;
  /** Share of all processors that other programs used meanwhile (0 to 1); undefined where the system does not tell. */
  readonly otherPrograms: number | undefined;
}

/** What one side did with one loss. */
export interface SideResult {
  readonly warmUp: MeasuredRound;
  readonly rounds: readonly MeasuredRound[];
  readonly pairsPerSecond: Spread;
  /** Bytes, after the last round; the peak since the model was loaded, or, without `peakReset`, since the start. */
  readonly memory: ProcessMemory & { readonly peakReset: boolean };
  /** After the last step of the last round. */
  readonly ndcgAt10: number;
}

export interface ComparisonResult {
  readonly workload: Workload;
  readonly stepsPerRound: number;
  readonly sides: { readonly gradbank: SideResult; readonly python: SideResult };
  /** Pairs a second, gradbank's over Python's, within each round: above 1 gradbank is faster. */
  readonly speedRatio: Spread;
  /** Peak memory, gradbank's over Python's: below 1 gradbank needs less. */
  readonly memoryRatio: number;
}

/** What every comparison of a run has in common. */
export interface ComparisonOptions {
  readonly rounds: number;
  readonly stepsPerRound: number;
  readonly plan: TrainingPlan;
  readonly retrieval: RetrievalData;
  readonly startGradbank: () => Promise<Side>;
  readonly startPython: () => Promise<Side>;
  /** Takes a line after each round. */
  readonly onProgress: (line: string) => void;
}

/**
 * Trains with both sides in turns, each in a fresh process, and evaluates both in the end. The first round warms up and
 * does not count, though its steps are steps of the training; the side that begins changes from round to round.
 */
export async function compareSides(workload: Workload, options: ComparisonOptions): Promise<ComparisonResult> {
  const { plan, rounds, stepsPerRound, retrieval } = options;
  return withSide(options.startPython, (python) =>
    withSide(options.startGradbank, async (gradbank) => {
      const peakReset = {
        Python: (await python.prepare(plan)).peakReset,
        gradbank: (await gradbank.prepare(plan)).peakReset,
      };
      const measured: Record<Side["name"], MeasuredRound[]> = { gradbank: [], Python: [] };
      for (let round = 0; round <= rounds; round++) {
        for (const side of sidesInTurn(gradbank, python, round))
          measured[side.name].push(await measureRound(side, stepsPerRound, workload.batchSize));
        const speed = (name: Side["name"]) => measured[name][round]!.pairsPerSecond.toFixed(1);
        options.onProgress(
          `${workload.title}: ${round === 0 ? "warm-up" : `round ${round} of ${rounds}`}: ` +
            `gradbank ${speed("gradbank")}, Python ${speed("Python")} pairs/s`,
        );
      }
      const finish = async (side: Side): Promise<SideResult> => {
        const [warmUp, ...counted] = measured[side.name] as [MeasuredRound, ...MeasuredRound[]];
        // Before the evaluation, which needs memory of its own.
        const memory = { ...(await side.memory()), peakReset: peakReset[side.name] };
        return {
          warmUp,
          rounds: counted,
          pairsPerSecond: spread(counted.map(({ pairsPerSecond }) => pairsPerSecond)),
          memory,
          ndcgAt10: await side.evaluate(retrieval),
        };
      };
      const sides = { gradbank: await finish(gradbank), python: await finish(python) };
      return {
        workload,
        stepsPerRound,
        sides,
        speedRatio: ratioSpread(sides.gradbank.pairsPerSecond.rounds, sides.python.pairsPerSecond.rounds),
        memoryRatio: sides.gradbank.memory.peak / sides.python.memory.peak,
      };
    }),
  );
}

/** The order of a round: who begins in one round comes second in the next. */
export function sidesInTurn<T>(first: T, second: T, round: number): [T, T] {
  return round % 2 === 0 ? [first, second] : [second, first];
}

async function measureRound(side: Side, steps: number, batchSize: number): Promise<MeasuredRound> {
  const otherPrograms = watchOtherPrograms(side.processId);
  const round = await side.round(steps);
  const seconds = round.seconds.reduce((sum, value) => sum + value, 0);
  return { ...round, pairsPerSecond: (steps * batchSize) / seconds, otherPrograms: otherPrograms() };
}
