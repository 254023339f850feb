import type { Arm, Experiment } from "./experiment.ts";

/** What a run is asked to do; a process of its own does it. */
export interface RunRequest {
  readonly experiment: Experiment;
  readonly arm: Arm;
  readonly seed: number;
  /** Folder or hub id of the model. */
  readonly model: string;
  /** Path of the pairs where they come from a file. */
  readonly dataPath?: string;
  readonly threads: number;
}

/** What a run found. */
export interface RunResult {
  readonly version: 1;
  /** What the run depends on, as text: a kept result counts only while it is the same. */
  readonly settings: string;
  readonly arm: string;
  readonly seed: number;
  /** When it ended, ISO 8601. */
  readonly date: string;
  /** Seconds of the whole run, loading and evaluations included. */
  readonly wallSeconds: number;
  /** Numbers for the table, by name. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly evaluations: readonly Evaluation[];
  /** One value a step, in order. */
  readonly steps: RunSteps;
  /** Cosine of cached embeddings and the same texts' embeddings at the time, one a measurement. */
  readonly drift: readonly { readonly step: number; readonly meanCosine: number }[];
}

/** An evaluation during a run. */
export interface Evaluation {
  readonly step: number;
  /** Pairs trained on before it. */
  readonly pairs: number;
  /** Training seconds before it, without evaluations. */
  readonly seconds: number;
  readonly ndcgAt10: number;
}

export interface RunSteps {
  /** Pairs of each step. */
  readonly pairs: readonly number[];
  readonly seconds: readonly number[];
  /** Bytes of the process that lie in RAM after the step. */
  readonly resident: readonly number[];
  readonly loss: readonly number[];
}

export const noSteps: RunSteps = { pairs: [], seconds: [], resident: [], loss: [] };

/** What the process of a run tells its parent. */
export type RunMessage =
  | { readonly type: "progress"; readonly done: number; readonly of: number; readonly note: string }
  | { readonly type: "result"; readonly result: FoundByRun }
  | { readonly type: "error"; readonly text: string };

/** What the process itself finds; the rest of the result is added by its parent. */
export type FoundByRun = Pick<RunResult, "metrics" | "evaluations" | "steps" | "drift">;

/** Tells how far a run is. */
export type ReportProgress = (done: number, of: number, note: string) => void;

/** The text by which a kept result is recognised: everything that can change its numbers. */
export function settingsOf({ experiment, arm, seed, model, dataPath, threads }: RunRequest): string {
  const { data, maximumLength } = experiment;
  const { title: _, ...armSettings } = arm;
  return JSON.stringify({ data, maximumLength, arm: armSettings, seed, model: baseName(model), dataPath, threads });
}

/** A machine's paths are no setting: the folder's name is. */
function baseName(model: string): string {
  return model.startsWith("/") ? model.split("/").filter(Boolean).at(-1)! : model;
}
