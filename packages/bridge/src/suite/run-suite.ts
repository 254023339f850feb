import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { GradbankError, OptionError, type WritableTensor, writeSafetensors } from "@gradbank/core";
import { openGolden } from "../golden/golden.ts";
import { GoldenRecorder } from "../golden/golden-recorder.ts";
import type { Difference } from "../lockstep/lockstep.ts";
import { openPythonSide, type PythonSide } from "../lockstep/python-side.ts";
import type { Reference } from "../reference/reference.ts";
import type { CaseReport, ParityEvent, ParityReport } from "../report/parity-report.ts";
import { parityReportVersion } from "../report/parity-report.ts";
import { reportVerdict } from "../report/report-summary.ts";
import { prepareCase } from "./case-data.ts";
import type { ResolvedCase, ResolvedSuite } from "./resolved-case.ts";
import { type ReadyCase, runCase } from "./run-case.ts";

export interface RunSuiteOptions {
  readonly suite: ResolvedSuite;
  /** Python. Not needed with `golden.import`. */
  readonly reference?: Reference | undefined;
  readonly golden?:
    | {
        /** Golden folder to take the reference's answers from. */
        readonly import?: string | undefined;
        /** Golden folder to write them to. */
        readonly export?: string | undefined;
      }
    | undefined;
  /** Only cases whose name holds one of these. Default: all. */
  readonly cases?: readonly string[] | undefined;
  readonly onEvent?: ((event: ParityEvent) => void) | undefined;
  /** Stops after the step at hand. */
  readonly signal?: AbortSignal | undefined;
  /** Threads of ONNX Runtime. Default: the processors that this process may use. */
  readonly threads?: number | undefined;
  /** Folder for random models; made when it is missing. */
  readonly cacheFolder: string;
  /** Folder for both sides of every tensor that differs, one safetensors file each. Default: not saved. */
  readonly saveTensors?: string | undefined;
}

/**
 * Runs the cases of a suite one after another.
 *
 * @returns what was found. Cases that were not begun when `signal` came are not in it.
 * @throws OptionError "invalid-input" without a reference or a golden folder, or when no case is left; GoldenError for a
 * golden folder that cannot be read, does not fit the suite or cannot be written.
 */
export async function runSuite(options: RunSuiteOptions): Promise<ParityReport> {
  const { suite, golden = {}, onEvent, signal } = options;
  const cases = suite.cases.filter(({ name }) => options.cases?.some((part) => name.includes(part)) ?? true);
  if (cases.length === 0)
    throw new OptionError(
      "invalid-input",
      `No case of suite "${suite.name}" has a name with ${options.cases?.join(" or ") ?? "anything"} in it. Its cases: ${suite.cases.map(({ name }) => name).join(", ") || "none"}.`,
      { suite: suite.name, cases: options.cases },
    );
  const replay = golden.import === undefined ? undefined : await openGolden(golden.import);
  replay?.check(cases);
  const recorder = golden.export === undefined ? undefined : await GoldenRecorder.open(golden.export, suite);
  const started = new Date();
  onEvent?.({ type: "suite-start", suite: suite.name, cases: cases.map(({ name, steps }) => ({ name, steps })) });
  const reports: CaseReport[] = [];
  const notes: string[] = [];
  try {
    for (const settings of cases) {
      if (signal?.aborted) break;
      const prepare = async (): Promise<ReadyCase> => {
        if (replay) return await replay.prepare(settings);
        const ready = await prepareWithPython(settings, options);
        if (!recorder) return ready;
        return { ...ready, side: await recorder.record(settings, ready.modelFolder, ready.side) };
      };
      reports.push(
        await runCase(settings, prepare, {
          onEvent,
          signal,
          threads: options.threads,
          ...(options.saveTensors === undefined
            ? {}
            : { onDifference: (difference) => saveTensors(options.saveTensors!, settings.name, difference) }),
        }),
      );
    }
    if (recorder) await finishRecording(recorder, notes);
  } finally {
    await recorder?.discard();
  }
  const seconds = (Date.now() - started.getTime()) / 1000;
  const verdict = reportVerdict(reports);
  onEvent?.({ type: "suite-end", verdict, seconds });
  return {
    version: parityReportVersion,
    suite: suite.name,
    started: started.toISOString(),
    seconds,
    verdict,
    cases: reports,
    ...(notes.length > 0 ? { notes } : {}),
  };
}

/** A recording that lacks steps is not written; what was compared is still worth telling. */
async function finishRecording(recorder: GoldenRecorder, notes: string[]): Promise<void> {
  try {
    await recorder.finish();
  } catch (error) {
    if (!GradbankError.isInstance(error) || error.code !== "golden-unfinished") throw error;
    notes.push(error.message);
  }
}

/**
 * Makes a case ready that Python takes part in: its model, its texts, and Python's half.
 *
 * @throws OptionError "invalid-input" without a reference; whatever `prepareCase` and `openPythonSide` throw.
 */
export async function prepareWithPython(
  settings: ResolvedCase,
  { reference, cacheFolder }: Pick<RunSuiteOptions, "reference" | "cacheFolder">,
): Promise<ReadyCase & { readonly side: PythonSide }> {
  if (!reference)
    throw new OptionError("invalid-input", "There is neither a Python reference nor a golden folder to compare with.");
  const prepared = await prepareCase(settings, reference, cacheFolder);
  const side = await openPythonSide(reference, {
    folder: prepared.modelFolder,
    loss: settings.reference,
    mode: settings.mode,
    arguments: settings.arguments,
    dropout: settings.dropout,
    noise: settings.noise,
    ...(settings.maxSequenceLength === null ? {} : { maxLength: settings.maxSequenceLength }),
  });
  return { ...prepared, side };
}

/** Writes `<folder>/<case>/step<k>.<stage>.<tensor>.safetensors` with `ours` (float32) and `reference` (float64). */
async function saveTensors(
  folder: string,
  name: string,
  { step, stage, name: tensor, ours, reference }: Difference,
): Promise<void> {
  const tensors = new Map<string, WritableTensor>();
  if (ours) tensors.set("ours", { shape: ours.shape, data: Float32Array.from(ours.value) });
  if (reference?.value) tensors.set("reference", { shape: reference.shape, data: reference.value });
  const target = join(folder, name.replaceAll(/[^\w.-]+/g, "-"));
  await mkdir(target, { recursive: true });
  await writeSafetensors(join(target, `step${step}.${stage}.${tensor}.safetensors`), tensors);
}
