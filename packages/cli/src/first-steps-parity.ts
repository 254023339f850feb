import {
  compareStep,
  type Reference,
  relativeDifference,
  type StageComparison,
  type StepComparison,
  type StepStage,
  shareOfTolerance,
} from "@gradbank/bridge";
import { type Dataset, type Loss, NoDuplicatesBatchSampler, type SentenceEncoder } from "@gradbank/core";

export interface FirstStepsOptions {
  readonly encoder: SentenceEncoder;
  readonly reference: Reference;
  readonly loss: Loss;
  readonly train: Dataset;
  readonly batchSize: number;
  /** The run's seed, for the order of the rows and the dropout masks. */
  readonly seed: number;
  /** How many of the run's batches to compare. */
  readonly steps: number;
}

/** One of the run's batches on both sides, with the weights from before training. */
export interface ComparedStep {
  /** The batch's place in the run, from 1. */
  readonly step: number;
  readonly rows: number;
  readonly comparison: StepComparison;
  readonly seconds: number;
}

/**
 * Compares the run's first batches with Python: the same rows, token ids, weights and dropout masks that training will
 * have in its first updates. Weights stay as they are. Python computes in float64.
 *
 * @throws BridgeError when Python cannot take the model or the step.
 */
export async function* compareFirstSteps(options: FirstStepsOptions): AsyncGenerator<ComparedStep> {
  const { encoder, reference, loss, train, batchSize, seed } = options;
  const sampler = await NoDuplicatesBatchSampler.create(train, { batchSize, seed });
  const model = await reference.loadModel(encoder.folder.folder, { dtype: "float64" });
  let step = 0;
  for (const batch of sampler.batches(0)) {
    if (step >= options.steps) break;
    const started = performance.now();
    const rows = await train.readRows(batch);
    const texts = train.columnNames.map((_, column) => rows.map((row) => row[column]!));
    const comparison = await compareStep({
      encoder,
      reference,
      model,
      loss,
      texts,
      columns: texts.map((column) => encoder.tokenize(column)),
      dropout: { seed, step },
    });
    step++;
    yield { step, rows: batch.length, comparison, seconds: (performance.now() - started) / 1000 };
  }
  await reference.release(model);
}

/** Largest difference of a stage, in relation to the scale that its tolerance has; undefined for a stage that is not there. */
export function largestDifference({ stages }: StepComparison, stage: StepStage): number | undefined {
  const tensors = stages.find((other) => other.stage === stage)?.tensors;
  return tensors?.map(relativeDifference).reduce(largerOrNotANumber, 0);
}

/** The first stage, in the order of computation, that is not equal. */
export function firstUnequalStage({ stages }: StepComparison): StageComparison | undefined {
  return stages.find(({ equal }) => !equal);
}

/** The stage of all steps that is nearest to its tolerance, or furthest beyond it. */
export function nearestToTolerance(comparisons: readonly StepComparison[]): StageComparison | undefined {
  return comparisons
    .flatMap(({ stages }) => stages)
    .reduce<StageComparison | undefined>(
      (worst, other) => (worst && shareOfTolerance(worst.worst) >= shareOfTolerance(other.worst) ? worst : other),
      undefined,
    );
}

function largerOrNotANumber(left: number, right: number): number {
  return Number.isNaN(left) || left > right ? left : right;
}
