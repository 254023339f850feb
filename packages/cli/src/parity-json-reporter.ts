import type { ParityEvent } from "@gradbank/bridge";
import { GradbankError } from "@gradbank/core";
import { describeError } from "./error-report.ts";
import type { ParityReporter } from "./parity-reporter.ts";

/** Writes each event of a comparison as one line of JSON, as `parityEventSchema` has them; and errors, of type "error". */
export class ParityJsonReporter implements ParityReporter {
  readonly #writeOut: (text: string) => void;
  readonly #writeError: (text: string) => void;

  constructor(writeOut: (text: string) => void, writeError: (text: string) => void) {
    this.#writeOut = writeOut;
    this.#writeError = writeError;
  }

  report(event: ParityEvent): void {
    this.#writeOut(`${JSON.stringify(event)}\n`);
  }

  fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    const known = GradbankError.isInstance(error) ? { code: error.code, facts: error.facts } : {};
    this.#writeOut(`${JSON.stringify({ type: "error", message, ...known })}\n`);
    this.#writeError(`${describeError(error)}\n`);
  }

  // Not events of the comparison: whoever reads lines knows what was asked for, and gets the rest from case-end.
  activity(): void {}
  reference(): void {}
  interrupt(): void {}
  end(): void {}
}
