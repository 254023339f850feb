import { Reference } from "@gradbank/bridge";
import { SentenceEncoder } from "@gradbank/core";
import { drawBatches } from "../bench/pairs.ts";
import { median } from "../bench/statistics.ts";
import type { PullRequestArm } from "./experiment.ts";
import { loadExperimentData } from "./load-data.ts";
import type { FoundByRun, ReportProgress, RunRequest } from "./run-result.ts";
import { describeSteps } from "./run-training.ts";

/** Steps of the pull request's loss in Python: seconds and resident memory of each. */
export async function runPullRequest(
  { experiment, model, dataPath, threads, seed }: RunRequest,
  arm: PullRequestArm,
  report: ReportProgress,
): Promise<FoundByRun> {
  const { train } = await loadExperimentData(experiment.data!, dataPath);
  const batches = await drawBatches(train, arm.batchSize, arm.steps);
  const reference = await startPatientPython();
  try {
    const { folder } = (await SentenceEncoder.load(model)).folder.transformer;
    await prepareSteps(reference, { folder, arm, batches, maximumLength: experiment.maximumLength, threads, seed });
    const steps = { pairs: [] as number[], seconds: [] as number[], resident: [] as number[], loss: [] as number[] };
    let [sum, peak] = [0, 0];
    for (let step = 0; step < arm.steps && sum < arm.secondsLimit; step++) {
      const { seconds, losses } = await reference.benchmarkRound(1);
      const memory = await reference.benchmarkMemory();
      steps.pairs.push(batches[step]!.length);
      steps.seconds.push(seconds[0]!);
      steps.loss.push(losses[0]!);
      steps.resident.push(memory.resident);
      sum += seconds[0]!;
      peak = memory.peak;
      report(step + 1, arm.steps, `${seconds[0]!.toFixed(1)} s a step`);
    }
    const pairs = steps.pairs.reduce((total, rows) => total + rows, 0);
    return {
      metrics: {
        trainSeconds: sum,
        steadySeconds: median(steps.seconds) * steps.seconds.length,
        pairs,
        pairsPerSecond: pairs / sum,
        updates: steps.seconds.length,
        peakMemory: peak,
        ...describeSteps(steps),
      },
      evaluations: [],
      steps,
      drift: [],
    };
  } finally {
    await reference.close();
  }
}

/**
 * Python whose threads sleep while they wait for each other. By default they spin, which on a machine with other work makes
 * a step many times slower than the work in it.
 */
export function startPatientPython(): Promise<Reference> {
  return Reference.start({ environment: { OMP_WAIT_POLICY: "PASSIVE" } });
}

/** Loads the model in Python and makes the pull request's loss. */
export async function prepareSteps(
  reference: Reference,
  options: {
    readonly folder: string;
    readonly arm: Pick<PullRequestArm, "miniBatchSize" | "cacheSize" | "learningRate">;
    readonly batches: readonly (readonly (readonly string[])[])[];
    readonly maximumLength: number;
    readonly threads: number;
    readonly seed: number;
  },
): Promise<void> {
  const { arm, folder, batches, maximumLength, threads, seed } = options;
  // Not among the bridge's typed losses: it is no loss of sentence-transformers.
  await reference.server.request("benchmark_prepare", {
    folder,
    loss: {
      class: "PullRequest3612",
      options: {
        mini_batch_size: arm.miniBatchSize,
        use_cont_accum: arm.cacheSize > 0,
        prev_cache: true,
        ...(arm.cacheSize > 0 ? { cache_size: arm.cacheSize } : {}),
      },
    },
    batches,
    learning_rate: arm.learningRate,
    max_length: maximumLength,
    threads,
    seed,
  });
}
