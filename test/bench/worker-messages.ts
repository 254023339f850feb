import type { BenchmarkRound, RetrievalData } from "@gradbank/bridge";
import type { ProcessMemory } from "./process-memory.ts";
import type { TrainingPlan } from "./side.ts";

/** What the worker process can be asked, and what it answers. */
export interface WorkerMethods {
  prepare(parameters: {
    readonly plan: TrainingPlan;
    /** Where the run may write its event log. */
    readonly outputDir: string;
    /** Whether the peak of memory begins after loading the model; else with the process. */
    readonly resetPeak: boolean;
  }): { peakReset: boolean };
  round(parameters: { readonly steps: number }): BenchmarkRound;
  memory(parameters: Record<string, never>): ProcessMemory;
  evaluate(parameters: { readonly data: RetrievalData }): { ndcgAt10: number };
}

export type WorkerMethod = keyof WorkerMethods;

export interface WorkerRequest<Method extends WorkerMethod = WorkerMethod> {
  readonly id: number;
  readonly method: Method;
  readonly parameters: Parameters<WorkerMethods[Method]>[0];
}

export type WorkerReply =
  | { readonly id: number; readonly result: ReturnType<WorkerMethods[WorkerMethod]> }
  | { readonly id: number; readonly error: string };
