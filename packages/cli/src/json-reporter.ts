import { GradbankError } from "@gradbank/core";
import { describeError } from "./error-report.ts";
import type { QuickstartEvent, ReportedEvent, Reporter } from "./quickstart-events.ts";

/**
 * Writes events as JSON Lines. The trainer's are those of events.jsonl; the others have a version and a time as well.
 * Numbers that are not finite become strings, as in events.jsonl.
 */
export class JsonReporter implements Reporter {
  readonly #writeOut: (text: string) => void;
  readonly #writeError: (text: string) => void;

  constructor(writeOut: (text: string) => void, writeError: (text: string) => void) {
    this.#writeOut = writeOut;
    this.#writeError = writeError;
  }

  report(event: ReportedEvent): void {
    this.#write(isTrainingEvent(event) ? event : withTime(event));
  }

  fail(error: unknown): void {
    const known = GradbankError.isInstance(error);
    this.#write(
      withTime({
        type: "error",
        message: error instanceof Error ? error.message : String(error),
        ...(known ? { code: error.code, facts: error.facts } : {}),
      }),
    );
    this.#writeError(`${describeError(error)}\n`);
  }

  #write(value: object): void {
    const line = JSON.stringify(value, (_key, part: unknown) =>
      typeof part === "number" && !Number.isFinite(part) ? String(part) : part,
    );
    this.#writeOut(`${line}\n`);
  }
}

function isTrainingEvent(event: ReportedEvent): event is Exclude<ReportedEvent, QuickstartEvent> {
  return "version" in event;
}

function withTime<Event extends { readonly type: string }>(event: Event): object {
  const { type, ...fields } = event;
  return { type, version: 1, time: new Date().toISOString(), ...fields };
}
