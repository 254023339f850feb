import {
  type CaseData,
  type CaseLoss,
  fittingReference,
  openPythonSide,
  type ParityEvent,
  type ParityReport,
  parityReportVersion,
  type Reference,
  type ResolvedCase,
  runCase,
} from "@gradbank/bridge";
import { type Dataset, NoDuplicatesBatchSampler, type SentenceEncoder } from "@gradbank/core";

export interface FirstStepsOptions {
  /** Its folder is compared; itself it stays as it is. */
  readonly encoder: SentenceEncoder;
  readonly reference: Reference;
  readonly loss: CaseLoss;
  readonly train: Dataset;
  /** Where `train` comes from: for the report. */
  readonly data: CaseData;
  readonly batchSize: number;
  /** The run's seed, for the order of the rows and the dropout masks. */
  readonly seed: number;
  /** How many of the run's updates to compare. */
  readonly steps: number;
  readonly arguments: ResolvedCase["arguments"];
  readonly threads: number;
  readonly onEvent?: (event: ParityEvent) => void;
  /** Stops after the step at hand. */
  readonly signal?: AbortSignal;
}

/**
 * Compares the run's first updates with Python, each from Python's state: the same rows, token ids, weights and dropout
 * masks that training will have. Both sides load the model's folder anew, so that training begins as if there had been no
 * comparison.
 *
 * @returns the report; what goes wrong is in it.
 */
export async function compareFirstSteps(options: FirstStepsOptions): Promise<ParityReport> {
  const { encoder, reference, train, batchSize, seed, steps, threads, onEvent, signal } = options;
  const started = new Date();
  const { folder } = encoder.folder;
  const settings: ResolvedCase = {
    name: "the run's first steps",
    description: "",
    model: { kind: "folder", folder },
    maxSequenceLength: encoder.maxSequenceLength,
    data: options.data,
    columns: train.columnNames.length,
    batchSize,
    lastBatch: null,
    gradientAccumulationSteps: 1,
    steps,
    seed,
    loss: options.loss,
    reference: fittingReference(options.loss),
    dropout: true,
    mode: "teacher-forced",
    arguments: options.arguments,
    noise: true,
    parametersEvery: 1,
    limits: {},
    wholeTensors: "small",
  };
  const prepare = async () => ({
    modelFolder: folder,
    steps: await firstBatches(train, { batchSize, seed, steps }),
    side: await openPythonSide(reference, {
      folder,
      loss: settings.reference,
      mode: settings.mode,
      arguments: settings.arguments,
      dropout: settings.dropout,
      maxLength: encoder.maxSequenceLength,
    }),
  });
  const report = await runCase(settings, prepare, { onEvent, signal, threads });
  return {
    version: parityReportVersion,
    suite: "quickstart",
    started: started.toISOString(),
    seconds: report.seconds,
    verdict: report.verdict,
    cases: [report],
  };
}

/** Texts of the run's first steps, each of one batch: columns, rows. */
async function firstBatches(
  train: Dataset,
  { batchSize, seed, steps }: { readonly batchSize: number; readonly seed: number; readonly steps: number },
): Promise<string[][][][]> {
  const sampler = await NoDuplicatesBatchSampler.create(train, { batchSize, seed });
  const taken: string[][][][] = [];
  for (const batch of sampler.batches(0)) {
    if (taken.length >= steps) break;
    const rows = await train.readRows(batch);
    taken.push([train.columnNames.map((_, column) => rows.map((row) => row[column]!))]);
  }
  return taken;
}
