import type { ParityEvent, ParityReport } from "@gradbank/bridge";
import type { StopSignal } from "./interruption.ts";

/** Where `gradbank parity` tells what happens. */
export interface ParityReporter {
  /** Something begins that can take a while. */
  activity(text: string): void;
  /** The reference is there: what it is, by name. */
  reference(described: Readonly<Record<string, string>>): void;
  report(event: ParityEvent): void;
  /** A signal asked for the end. */
  interrupt(signal: StopSignal): void;
  /**
   * All suites were compared, or as much as there was time for.
   * @param files reports that were written.
   */
  end(reports: readonly ParityReport[], files: readonly string[]): void;
  /** Tells of an error that ends the command. */
  fail(error: unknown): void;
}
