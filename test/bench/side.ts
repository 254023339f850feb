import type { BenchmarkRound, RetrievalData } from "@gradbank/bridge";
import type { ProcessMemory } from "./process-memory.ts";
import type { Workload } from "./workload.ts";

/** All that both sides need to train alike. Dropout is on. */
export interface TrainingPlan {
  /** Model folder. */
  readonly folder: string;
  readonly loss: Pick<Workload, "lossClass" | "miniBatchSize">;
  /** Rows of every step of the run, each one text a column. All batches have as many rows. */
  readonly batches: readonly (readonly (readonly string[])[])[];
  readonly threads: number;
  readonly learningRate: number;
  /** Steps in which the learning rate rises; then it falls to 0 at the end of `batches`. */
  readonly warmupSteps: number;
  readonly maximumLength: number;
  readonly seed: number;
}

/** One of the two programs that are compared: a process that trains when asked and idles otherwise. */
export interface Side {
  /** What the table calls it. */
  readonly name: "gradbank" | "Python";
  readonly processId: number;
  /**
   * Loads the model and prepares a run of as many steps as the plan has batches. The peak of memory begins here.
   *
   * @returns whether the peak could be reset; if not, it includes loading the model
   */
  prepare(plan: TrainingPlan): Promise<{ peakReset: boolean }>;
  /** Runs the next steps: tokenize, loss, backward pass, clipping, AdamW, schedule. */
  round(steps: number): Promise<BenchmarkRound>;
  memory(): Promise<ProcessMemory>;
  /** NDCG@10 of the current weights, by the side's own evaluator. */
  evaluate(data: RetrievalData): Promise<number>;
  /** Ends the process, also in the middle of a computation. May be called twice. */
  close(): Promise<void>;
}
