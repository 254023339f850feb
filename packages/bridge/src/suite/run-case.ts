import { createRequire } from "node:module";
import { arch, platform } from "node:os";
import { GradbankError, linearSchedule, SentenceEncoder } from "@gradbank/core";
import { explain } from "../comparison/explain.ts";
import { BridgeError } from "../errors.ts";
import { Lockstep, type LockstepOptions } from "../lockstep/lockstep.ts";
import type { LockstepBatch } from "../lockstep/our-side.ts";
import type { ReferenceSide } from "../lockstep/reference-side.ts";
import type { CaseReport, ParityEvent, StepReport } from "../report/parity-report.ts";
import { createCaseLoss } from "./case-loss.ts";
import type { ResolvedCase } from "./resolved-case.ts";

/** A case that is ready to run. */
export interface ReadyCase {
  readonly modelFolder: string;
  /** Texts of each step: batches, columns, rows. */
  readonly steps: readonly (readonly (readonly (readonly string[])[])[])[];
  readonly side: ReferenceSide;
}

export interface RunCaseOptions {
  readonly onEvent?: ((event: ParityEvent) => void) | undefined;
  /** Stops after the step at hand. */
  readonly signal?: AbortSignal | undefined;
  /** Threads of ONNX Runtime. Default: its own choice. */
  readonly threads?: number | undefined;
  /** Takes both sides' tensors where they differ. */
  readonly onDifference?: LockstepOptions["onDifference"] | undefined;
  /** End the case at its first step that differs. Default: false, go on: teacher-forced steps are judged by themselves. */
  readonly failFast?: boolean | undefined;
}

/**
 * Runs one case, from opening the model to the last step.
 *
 * Never throws for what goes wrong in the case: the report then has the verdict "could-not-compare" and the error.
 *
 * @param prepare makes the model, the texts and the reference's half.
 */
export async function runCase(
  settings: ResolvedCase,
  prepare: () => Promise<ReadyCase>,
  options: RunCaseOptions = {},
): Promise<CaseReport> {
  const { onEvent, signal } = options;
  const started = performance.now();
  const steps: StepReport[] = [];
  const report: Mutable<CaseReport> = {
    name: settings.name,
    mode: settings.mode,
    verdict: "equal",
    reference:
      "file" in settings.reference
        ? `${settings.reference.file}:${settings.reference.class}`
        : settings.reference.class,
    settings: JSON.parse(JSON.stringify(settings)) as Record<string, unknown>,
    environment: { ours: {}, reference: {} },
    steps,
    seconds: 0,
  };
  onEvent?.({ type: "case-start", case: settings.name, mode: settings.mode, steps: settings.steps });
  let lockstep: Lockstep | undefined;
  let encoder: SentenceEncoder | undefined;
  try {
    const ready = await prepare();
    encoder = await SentenceEncoder.load(ready.modelFolder, {
      ...(settings.maxSequenceLength === null ? {} : { maxSequenceLength: settings.maxSequenceLength }),
      ...(options.threads === undefined ? {} : { threads: options.threads }),
    });
    report.environment = { ours: environmentOf(encoder), reference: { ...ready.side.configuration.environment } };
    lockstep = openCase(settings, encoder, ready.side, options.onDifference);
    report.configuration = lockstep.configuration;
    onEvent?.({ type: "configuration", case: settings.name, stage: lockstep.configuration });
    if (!lockstep.configuration.equal) throw configurationDiffers(lockstep);
    const { learningRate, warmupSteps } = settings.arguments;
    const schedule = linearSchedule({ learningRate, warmupSteps, maxSteps: settings.steps });
    for (const [step, batches] of ready.steps.entries()) {
      if (signal?.aborted) break;
      const taken = await lockstep.step(
        batches.map((texts): LockstepBatch => ({ texts, columns: texts.map((column) => encoder!.tokenize(column)) })),
        schedule(step),
      );
      steps.push(taken.report);
      onEvent?.({ type: "step", case: settings.name, report: taken.report });
      if (!taken.divergence) continue;
      report.verdict = "different";
      if (!report.firstDivergence) {
        report.firstDivergence = taken.divergence;
        onEvent?.({ type: "divergence", case: settings.name, divergence: taken.divergence });
      }
      if (options.failFast) break;
    }
    if (steps.length === 0) throw new BridgeError("interrupted", "Stopped before the first step was compared.");
  } catch (error) {
    // What was found to be different stays different.
    if (report.verdict === "equal") report.verdict = "could-not-compare";
    report.error = describe(error);
  } finally {
    await lockstep?.close().catch(() => {});
    await encoder?.release();
  }
  report.seconds = (performance.now() - started) / 1000;
  onEvent?.({ type: "case-end", case: settings.name, verdict: report.verdict, report });
  return report;
}

/** A case's two sides, brought together. */
export function openCase(
  settings: ResolvedCase,
  encoder: SentenceEncoder,
  side: ReferenceSide,
  onDifference?: LockstepOptions["onDifference"],
): Lockstep {
  const { multiple, absolute, relative } = settings.limits;
  return Lockstep.open({
    encoder,
    loss: createCaseLoss(settings.loss),
    side,
    mode: settings.mode,
    arguments: settings.arguments,
    pullAll: settings.wholeTensors === "all",
    parametersEvery: settings.parametersEvery,
    ...(onDifference ? { onDifference } : {}),
    ...(settings.dropout ? { dropoutSeed: settings.seed } : {}),
    ...(multiple === undefined ? {} : { limit: multiple }),
    ...(absolute === undefined && relative === undefined
      ? {}
      : { tolerance: { absolute: absolute ?? 0, relative: relative ?? 0 } }),
  });
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

function configurationDiffers({ configuration }: Lockstep): BridgeError {
  const differing = configuration.tensors.filter(({ equal }) => !equal);
  return new BridgeError(
    "configuration-differs",
    `The two sides are not set up alike, so that nothing they compute can be compared: ${differing.map(explain).join("; ")}. Give both the same model folder and options.`,
    { facts: differing.map(({ name }) => name) },
  );
}

function environmentOf(encoder: SentenceEncoder): CaseReport["environment"]["ours"] {
  const require = createRequire(import.meta.url);
  const version = (name: string) => (require(`${name}/package.json`) as { version: string }).version;
  return {
    gradbank: version("@gradbank/core"),
    node: process.versions.node,
    "onnxruntime-node": version("onnxruntime-node"),
    device: encoder.programs.runtime.device,
    platform: `${platform()}-${arch()}`,
  };
}

function describe(error: unknown): NonNullable<CaseReport["error"]> {
  if (GradbankError.isInstance(error)) return { code: error.code, message: error.message };
  return { code: "unexpected", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}
