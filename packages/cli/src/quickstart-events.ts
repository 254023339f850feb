import type { Divergence, NearestToLimit, StepReport } from "@gradbank/bridge";
import type { TrainingEvent } from "@gradbank/core";
import type { QuickstartOptions } from "./quickstart-options.ts";

/** How the comparison with Python ended. */
export type ParityVerdict = "equal" | "not equal" | "failed" | "skipped";

/** What happens in a quickstart besides training. */
export type QuickstartEvent =
  | { readonly type: "quickstart-start"; readonly options: QuickstartOptions }
  /** Something begins that can take a while. */
  | { readonly type: "activity-start"; readonly activity: string }
  | { readonly type: "python-start"; readonly versions: Readonly<Record<string, string>> }
  | {
      readonly type: "model-loaded";
      readonly name: string;
      readonly architecture: string;
      readonly layers: number;
      readonly dimension: number;
      readonly parameters: number;
    }
  | {
      readonly type: "data-loaded";
      readonly name: string;
      readonly trainPairs: number;
      readonly queries: number;
      readonly documents: number;
      readonly example: readonly string[];
    }
  | { readonly type: "parity-skip"; readonly reason: string }
  | { readonly type: "parity-start"; readonly steps: number }
  | { readonly type: "parity-step"; readonly report: StepReport }
  | { readonly type: "parity-divergence"; readonly divergence: Divergence }
  | { readonly type: "parity-error"; readonly code: string; readonly message: string }
  | {
      readonly type: "parity-end";
      readonly verdict: ParityVerdict;
      /** Of the stages that are equal, the one that was nearest to its limit. */
      readonly nearest: Omit<NearestToLimit, "case"> | undefined;
      /** Page with every stage and tensor. */
      readonly report: string | undefined;
    }
  | { readonly type: "interruption"; readonly signal: string }
  | { readonly type: "model-saved"; readonly folder: string; readonly seconds: number }
  | {
      readonly type: "model-checked";
      /** Largest difference of an embedding's numbers between the model in memory and the one loaded again. */
      readonly reloaded: number;
      /** The same for Python sentence-transformers; undefined without Python. */
      readonly python: number | undefined;
      readonly equal: boolean;
    }
  | {
      readonly type: "quickstart-end";
      readonly reason: "completed" | "interrupted";
      readonly step: number;
      readonly maxSteps: number;
      readonly metric: string;
      readonly before: number | undefined;
      readonly after: number | undefined;
      readonly parity: ParityVerdict;
      readonly seconds: number;
      /** Undefined when nothing was saved. */
      readonly modelFolder: string | undefined;
      readonly exitCode: number;
    };

/** Everything that a quickstart tells: its own events and the trainer's. */
export type ReportedEvent = QuickstartEvent | TrainingEvent;

/** Where a quickstart tells what happens. */
export interface Reporter {
  report(event: ReportedEvent): void;
  /** Tells of an error that ends the command. */
  fail(error: unknown): void;
}
