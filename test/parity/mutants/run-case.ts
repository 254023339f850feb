import type { Reference } from "@gradbank/bridge";
import { createAdamW, createOnnxRuntime, type Loss, linearSchedule, SentenceEncoder } from "@gradbank/core";
import { Lockstep, type LockstepStep } from "../../../packages/bridge/src/lockstep/lockstep.ts";
import { type LockstepBatch, OurSide, type OurTensor } from "../../../packages/bridge/src/lockstep/our-side.ts";
import { openPythonSide } from "../../../packages/bridge/src/lockstep/python-side.ts";
import { type PreparedCase, prepareCase } from "../../../packages/bridge/src/suite/case-data.ts";
import { createCaseLoss } from "../../../packages/bridge/src/suite/case-loss.ts";
import type { ResolvedCase } from "../../../packages/bridge/src/suite/resolved-case.ts";
import { faultyRuntime } from "./faulty-runtime.ts";
import type { Seams } from "./mutant.ts";

/** Runs cases, with faults on our side or without, against one Python server. */
export class CaseRunner {
  readonly #reference: Reference;
  readonly #cacheFolder: string;
  readonly #prepared = new Map<string, Promise<PreparedCase>>();
  readonly #traced = new Map<string, Promise<OurTensor[][]>>();

  constructor(reference: Reference, cacheFolder: string) {
    this.#reference = reference;
    this.#cacheFolder = cacheFolder;
  }

  /**
   * Takes a case's steps on both sides. After each step our loss is evaluated on the step's first batch, as a trainer may
   * do: evaluation must change nothing.
   *
   * @param onStep called after each step; false ends the case.
   */
  async run(
    settings: ResolvedCase,
    seams: Seams,
    onStep: (step: LockstepStep, number: number) => boolean,
  ): Promise<void> {
    const { modelFolder, steps } = await this.#prepare(settings);
    const { encoder, loss } = await openOurs(settings, modelFolder, seams);
    const { mode, dropout, maxSequenceLength } = settings;
    const side = await openPythonSide(this.#reference, {
      folder: modelFolder,
      loss: settings.reference,
      mode,
      dropout,
      noise: settings.noise,
      arguments: settings.arguments,
      ...(maxSequenceLength === null ? {} : { maxLength: maxSequenceLength }),
    });
    try {
      const lockstep = Lockstep.open({
        encoder,
        loss,
        side,
        mode,
        arguments: settings.arguments,
        ...(dropout ? { dropoutSeed: settings.seed } : {}),
        ...(seams.optimizer ? { optimizer: seams.optimizer(encoder, settings) } : {}),
      });
      if (!lockstep.configuration.equal)
        throw new Error(`The configuration differs: ${JSON.stringify(lockstep.configuration.tensors)}`);
      for (const [index, texts] of steps.entries()) {
        const batches = tokenizeBatches(encoder, texts);
        const step = await lockstep.step(batches, learningRate(settings, index));
        if (!onStep(step, index + 1)) break;
        await loss.evaluate(encoder, { columns: batches[0]!.columns });
      }
    } finally {
      await side.close();
      await encoder.release();
    }
  }

  /** Our side alone, without a bug and without a reference: every tensor of every step. */
  traceClean(settings: ResolvedCase): Promise<OurTensor[][]> {
    const key = JSON.stringify(settings);
    let traced = this.#traced.get(key);
    if (!traced) {
      traced = this.trace(settings, {});
      this.#traced.set(key, traced);
    }
    return traced;
  }

  /** Our side alone, with faults: every tensor of every step. */
  async trace(settings: ResolvedCase, seams: Seams): Promise<OurTensor[][]> {
    const { modelFolder, steps } = await this.#prepare(settings);
    const { encoder, loss } = await openOurs(settings, modelFolder, seams);
    const ours = new OurSide({
      encoder,
      loss,
      optimizer: seams.optimizer?.(encoder, settings) ?? createAdamW(encoder, settings.arguments),
      maxGradNorm: settings.arguments.maxGradNorm,
      dropoutSeed: settings.dropout ? settings.seed : undefined,
    });
    const traced: OurTensor[][] = [];
    for (const [index, texts] of steps.entries()) {
      const batches = tokenizeBatches(encoder, texts);
      const tokens = batches.flatMap(({ columns }, batch) =>
        columns.map((rows, column): OurTensor => {
          const value = rows.flatMap((row) => [row.length, ...row]);
          return { stage: "tokens", name: `batch${batch}.column${column}`, shape: [value.length], value };
        }),
      );
      traced.push([...tokens, ...(await ours.step(batches)), ...ours.update(learningRate(settings, index))]);
      await loss.evaluate(encoder, { columns: batches[0]!.columns });
    }
    await encoder.release();
    return traced;
  }

  #prepare(settings: ResolvedCase): Promise<PreparedCase> {
    const { model, data, columns, batchSize, lastBatch, gradientAccumulationSteps, steps, seed } = settings;
    const key = JSON.stringify({ model, data, columns, batchSize, lastBatch, gradientAccumulationSteps, steps, seed });
    let prepared = this.#prepared.get(key);
    if (!prepared) {
      prepared = prepareCase(settings, this.#reference, this.#cacheFolder);
      this.#prepared.set(key, prepared);
    }
    return prepared;
  }
}

async function openOurs(
  settings: ResolvedCase,
  modelFolder: string,
  seams: Seams,
): Promise<{ encoder: SentenceEncoder; loss: Loss }> {
  const runtime = createOnnxRuntime({ threads: 1 });
  const encoder = await SentenceEncoder.load(modelFolder, {
    runtime: seams.runtime ? faultyRuntime(runtime, seams.runtime) : runtime,
    ...(settings.maxSequenceLength === null ? {} : { maxSequenceLength: settings.maxSequenceLength }),
  });
  seams.encoder?.(encoder);
  const right = createCaseLoss(settings.loss);
  return { encoder, loss: seams.loss?.(right, settings) ?? right };
}

function tokenizeBatches(
  encoder: SentenceEncoder,
  texts: readonly (readonly (readonly string[])[])[],
): LockstepBatch[] {
  return texts.map((columns) => ({ texts: columns, columns: columns.map((column) => encoder.tokenize(column)) }));
}

function learningRate({ arguments: { learningRate: rate, warmupSteps }, steps }: ResolvedCase, step: number): number {
  return linearSchedule({ learningRate: rate, warmupSteps, maxSteps: steps })(step);
}
