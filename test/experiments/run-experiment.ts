import { ExperimentError } from "./errors.ts";
import { type Arm, type Experiment, seedsOf } from "./experiment.ts";
import { remainingSeconds } from "./remaining-time.ts";
import { type FoundByRun, type ReportProgress, type RunRequest, type RunResult, settingsOf } from "./run-result.ts";
import type { RunStore } from "./run-store.ts";

/** One arm with one seed. */
export interface PlannedRun {
  readonly arm: Arm;
  readonly seed: number;
  /** false: only a kept result is taken. */
  readonly wanted: boolean;
}

/**
 * The runs of an experiment, seed by seed, so that the arms take turns: what slows the machine down for a while meets all
 * of them.
 *
 * @param only names of the arms to run; default: all
 * @throws ExperimentError "unknown-arm"
 */
export function planRuns(experiment: Experiment, only?: readonly string[]): PlannedRun[] {
  const names = experiment.arms.map(({ name }) => name);
  const unknown = only?.find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new ExperimentError(
      "unknown-arm",
      `${experiment.name} has no arm ${JSON.stringify(unknown)}. It has: ${names.join(", ")}.`,
      { experiment: experiment.name, arm: unknown },
    );
  return experiment.seeds.flatMap((seed) =>
    experiment.arms
      .filter((arm) => seedsOf(experiment, arm).includes(seed))
      .map((arm) => ({ arm, seed, wanted: only?.includes(arm.name) ?? true })),
  );
}

/** Does the runs that are not kept yet, one after another, and returns all results in the order of the plan. */
export async function runExperiment(options: {
  readonly plan: readonly PlannedRun[];
  readonly request: Omit<RunRequest, "arm" | "seed">;
  readonly store: Pick<RunStore, "read" | "write">;
  readonly fresh: boolean;
  readonly start: (request: RunRequest, report: ReportProgress) => Promise<FoundByRun>;
  readonly say: (text: string) => void;
  /** Milliseconds between two lines of progress of a run. Default 15,000. */
  readonly sayEvery?: number;
}): Promise<RunResult[]> {
  const { plan, store, fresh, start, say, sayEvery = 15_000 } = options;
  const kept = new Map<PlannedRun, RunResult>();
  const missing: PlannedRun[] = [];
  for (const run of plan) {
    const settings = settingsOf({ ...options.request, ...run });
    const found = fresh && run.wanted ? undefined : await store.read(run.arm.name, run.seed, settings);
    if (found) kept.set(run, found);
    else if (run.wanted) missing.push(run);
  }
  if (kept.size > 0) say(`${kept.size} of ${plan.length} runs are done already`);
  for (const [index, run] of missing.entries()) {
    const request: RunRequest = { ...options.request, arm: run.arm, seed: run.seed };
    const label = `run ${index + 1} of ${missing.length}, ${run.arm.name}, seed ${run.seed}`;
    say(label);
    const began = performance.now();
    let said = began;
    const finished = [...kept].map(([{ arm }, { wallSeconds }]) => ({ arm: arm.name, seconds: wallSeconds }));
    const toCome = missing.slice(index).map(({ arm }) => arm.name);
    const found = await start(request, (done, of, note) => {
      const now = performance.now();
      if (now - said < sayEvery) return;
      said = now;
      const left = remainingSeconds(finished, toCome, { done: done / of, seconds: (now - began) / 1000 });
      say(`${label}: ${done} of ${of}, ${note}${left === undefined ? "" : `; about ${formatMinutes(left)} left`}`);
    });
    const result: RunResult = {
      version: 1,
      settings: settingsOf(request),
      arm: run.arm.name,
      seed: run.seed,
      date: new Date().toISOString(),
      wallSeconds: (performance.now() - began) / 1000,
      ...found,
    };
    await store.write(result);
    kept.set(run, result);
    say(`${label}: done in ${result.wallSeconds.toFixed(0)} s${describe(result)}`);
  }
  return plan.flatMap((run) => kept.get(run) ?? []);
}

function describe({ metrics }: RunResult): string {
  return metrics.ndcgAt10 === undefined ? "" : `, NDCG@10 ${metrics.ndcgAt10.toFixed(4)}`;
}

function formatMinutes(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
