import { AdamW, loadWordNet, SentenceEncoder } from "@gradbank/core";
import { drawBatches } from "../bench/pairs.ts";
import { median } from "../bench/statistics.ts";
import { buildLoss } from "./build-loss.ts";
import type { TrainingArm, UpdateTimesArm } from "./experiment.ts";
import { groupByLength } from "./length-groups.ts";
import { fill } from "./run-bank-cost.ts";
import { type FoundByRun, noSteps, type ReportProgress, type RunRequest } from "./run-result.ts";

/**
 * Updates of several arms on the same rows, in turns: in each round every arm makes one, and then the next round begins.
 * What slows the machine down meets all of them. Banks are full.
 */
export async function runUpdateTimes(
  { experiment, model, threads, seed }: RunRequest,
  arm: UpdateTimesArm,
  report: ReportProgress,
): Promise<FoundByRun> {
  const encoder = await SentenceEncoder.load(model, { threads, maxSequenceLength: experiment.maximumLength });
  const optimizer = new AdamW(encoder.parameters, encoder.trainedParameters);
  const arms = arm.arms ?? experiment.arms.filter((other): other is TrainingArm => other.kind === "training");
  const timed = arms.map((other) => ({ arm: other, loss: buildLoss(other.loss), seconds: [] as number[] }));
  for (const { loss } of timed) fill(loss, encoder.dimension);
  const updates = await drawBatches(await loadWordNet(), arm.rowsOfUpdate, arm.rounds + 1);
  let forwards = 0;
  for (const [round, rows] of updates.entries())
    for (const { arm: other, loss, seconds } of timed) {
      const began = performance.now();
      const tokens = rows.map((texts) => encoder.tokenize(texts));
      const { perDeviceTrainBatchSize: batchSize = 8 } = other.arguments;
      const lengths = tokens.map((row) => (other.groupByLength ? row.reduce((sum, { length }) => sum + length, 0) : 0));
      encoder.parameters.zeroGradients();
      const batches = groupByLength(Array.from(tokens.keys()), lengths, batchSize);
      for (const batch of batches) {
        const columns = tokens[0]!.map((_, column) => Array.from(batch, (row) => tokens[row]![column]!));
        await loss.forwardBackward(
          encoder,
          { columns },
          { gradientScale: 1 / batches.length, dropout: { seed, step: forwards++ } },
        );
      }
      optimizer.step(1e-5);
      loss.onOptimizerStep();
      const taken = (performance.now() - began) / 1000;
      // The first round compiles programs and scores the banks' rows with each other.
      if (round > 0) seconds.push(taken);
      report(round + 1, updates.length, `${other.name}: ${taken.toFixed(2)} s`);
    }
  const base = timed.find(({ arm: other }) => other.name === arm.relativeTo)!.seconds;
  return {
    metrics: Object.fromEntries(
      timed.flatMap(({ arm: other, seconds }) => [
        [`${other.name}.seconds`, median(seconds)],
        [`${other.name}.ratio`, median(seconds.map((value, round) => value / base[round]!))],
        [`${other.name}.leastSeconds`, Math.min(...seconds)],
      ]),
    ),
    evaluations: [],
    steps: noSteps,
    drift: [],
  };
}
