import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Reference } from "@gradbank/bridge";
import { AdamW, loadWordNet, NoDuplicatesBatchSampler, SentenceEncoder } from "@gradbank/core";
import { readMemory } from "../bench/process-memory.ts";
import { sampleTexts } from "../support/small-models.ts";
import { buildLoss } from "./build-loss.ts";
import type { SteadyMemoryArm } from "./experiment.ts";
import type { FoundByRun, ReportProgress, RunRequest } from "./run-result.ts";

/**
 * Trains a small random model for many steps and reads the process's memory at intervals, each time after a garbage
 * collection: what is left is what the program holds, not what V8 has not yet looked at.
 */
export async function runSteadyMemory(
  { threads, seed, experiment }: RunRequest,
  arm: SteadyMemoryArm,
  report: ReportProgress,
): Promise<FoundByRun> {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const folder = await mkdtemp(join(tmpdir(), "gradbank-experiment-"));
  try {
    const model = join(folder, "bert");
    const reference = await Reference.start();
    await reference
      .makeModel({ architecture: "bert", folder: model, texts: sampleTexts, seed: 7 })
      .finally(() => reference.close());
    const encoder = await SentenceEncoder.load(model, { threads, maxSequenceLength: experiment.maximumLength });
    const optimizer = new AdamW(encoder.parameters, encoder.trainedParameters);
    const loss = buildLoss(arm.loss);
    const dataset = await loadWordNet();
    const sampler = await NoDuplicatesBatchSampler.create(dataset, { batchSize: arm.batchSize, dropLast: true, seed });
    const steps = { pairs: [] as number[], seconds: [] as number[], resident: [] as number[], loss: [] as number[] };
    let done = 0;
    let began = performance.now();
    for (let epoch = 0; done < arm.steps; epoch++)
      for (const indices of sampler.batches(epoch)) {
        const rows = await dataset.readRows(indices);
        const columns = rows[0]!.map((_, column) => encoder.tokenize(rows.map((row) => row[column]!)));
        encoder.parameters.zeroGradients();
        const value = await loss.forwardBackward(encoder, { columns }, { dropout: { seed, step: done } });
        optimizer.step(1e-4);
        loss.onOptimizerStep();
        if (++done % arm.every === 0) {
          steps.pairs.push(arm.every * arm.batchSize);
          steps.seconds.push((performance.now() - began) / 1000);
          collectGarbage();
          steps.resident.push(readMemory().resident);
          steps.loss.push(value);
          began = performance.now();
          report(done, arm.steps, `${(steps.resident.at(-1)! / 1e6).toFixed(0)} MB`);
        }
        if (done === arm.steps) break;
      }
    const settled = steps.resident.slice(Math.floor(steps.resident.length / 2));
    return {
      metrics: {
        updates: done,
        peakMemory: readMemory().peak,
        residentAtHalf: settled[0]!,
        residentAtEnd: settled.at(-1)!,
        residentGrowth: settled.at(-1)! - settled[0]!,
      },
      evaluations: [],
      steps,
      drift: [],
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
