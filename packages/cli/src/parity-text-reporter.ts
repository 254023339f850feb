import {
  type CaseReport,
  nearestToLimit,
  type ParityEvent,
  type ParityReport,
  type Verdict,
  verdictSentence,
} from "@gradbank/bridge";
import { describeDivergence, describeNearest } from "./divergence-text.ts";
import { describeError } from "./error-report.ts";
import type { StopSignal } from "./interruption.ts";
import { formatAmount, formatSeconds } from "./number-format.ts";
import type { ParityReporter } from "./parity-reporter.ts";
import { parityHeadings, parityLegend, parityRow } from "./parity-table.ts";
import { ProgressLine } from "./progress-line.ts";
import { stageNames } from "./stage-names.ts";
import { styled, type Terminal, type TextStyle } from "./terminal.ts";
import { drawBar, RemainingTime } from "./training-progress.ts";

export interface ParityTextReporterOptions {
  /** Where text goes. */
  readonly terminal: Terminal;
  /** Where errors go. */
  readonly writeError: (text: string) => void;
  /** Milliseconds of a clock. Default: the process's. */
  readonly now?: () => number;
}

type EventOf<Type extends ParityEvent["type"]> = Extract<ParityEvent, { type: Type }>;

const barWidth = 12;
/** Narrower terminals need the room for the text. */
const columnsForBar = 80;

const marks: Readonly<Record<Verdict, readonly [mark: string, style: TextStyle]>> = {
  equal: ["ok", "green"],
  different: ["!!", "red"],
  "could-not-compare": ["??", "red"],
};

/** Tells a comparison in text: a line a step, and on a terminal a line of progress below them. */
export class ParityTextReporter implements ParityReporter {
  readonly #terminal: Terminal;
  readonly #writeError: (text: string) => void;
  readonly #now: () => number;
  readonly #lines: ProgressLine;
  readonly #remaining = new RemainingTime();
  #legendTold = false;
  #cases = 0;
  #caseNumber = 0;
  #stepsOfCase = 0;
  #stepsOfSuite = 0;
  #stepsDone = 0;
  #divergenceTold = false;
  #isInterrupted = false;

  constructor({ terminal, writeError, now = () => performance.now() }: ParityTextReporterOptions) {
    this.#terminal = terminal;
    this.#writeError = writeError;
    this.#now = now;
    this.#lines = new ProgressLine(terminal);
  }

  activity(text: string): void {
    if (this.#terminal.isInteractive) this.#lines.wait(text);
    else this.#lines.write(`${text} ...`);
  }

  reference(described: Readonly<Record<string, string>>): void {
    const told = Object.entries(described).map(([name, value]) => `${name} ${value}`);
    this.#lines.write(`Reference: ${told.join(", ")}`);
  }

  report(event: ParityEvent): void {
    switch (event.type) {
      case "suite-start":
        this.#beginSuite(event);
        break;
      case "case-start":
        this.#beginCase(event);
        break;
      case "step":
        this.#stepsDone++;
        this.#lines.write(parityRow(event.report, this.#terminal));
        this.#showProgress(event.report.step + 1);
        break;
      case "divergence":
        this.#tellDivergence(event);
        break;
      case "case-end":
        this.#tellError(event);
        break;
      case "suite-end":
        this.#lines.clear();
        break;
      default:
      // A configuration that differs ends the case with an error that says so.
    }
  }

  interrupt(signal: StopSignal): void {
    this.#isInterrupted = true;
    this.#lines.write(
      `\n${signal}: finishing the step at hand, then telling what was compared; once more ends at once.`,
    );
  }

  end(reports: readonly ParityReport[], files: readonly string[]): void {
    this.#lines.clear();
    for (const report of reports) {
      this.#tellSummary(report);
      for (const note of report.notes ?? []) this.#lines.write(note);
    }
    if (this.#isInterrupted && this.#cases > 0)
      this.#lines.write(`Stopped at case ${this.#caseNumber} of ${this.#cases}.`);
    if (files.length > 0) this.#lines.write(`\nReport: ${files.join("\n        ")}`);
  }

  fail(error: unknown): void {
    this.#lines.clear();
    this.#writeError(`\n${this.#style("red", describeError(error))}\n`);
  }

  #beginSuite({ suite, cases }: EventOf<"suite-start">): void {
    this.#cases = cases.length;
    this.#caseNumber = 0;
    this.#stepsDone = 0;
    this.#stepsOfSuite = cases.reduce((sum, { steps }) => sum + steps, 0);
    this.#lines.write(
      `\n${this.#style("bold", suite)}: ${formatAmount(cases.length, "case")}, ${formatAmount(this.#stepsOfSuite, "step")}`,
    );
    if (!this.#legendTold) for (const line of parityLegend) this.#lines.write(this.#style("dim", line));
    this.#legendTold = true;
    this.#remaining.begin(this.#now());
  }

  #beginCase({ case: name, mode, steps }: EventOf<"case-start">): void {
    this.#caseNumber++;
    this.#stepsOfCase = steps;
    this.#divergenceTold = false;
    this.#lines.write(`\n${this.#style("bold", name)}: ${mode}, ${formatAmount(steps, "step")}`);
    this.#lines.write(parityHeadings(this.#terminal));
    this.#showProgress(1);
  }

  /** What comes after the first difference follows from it, or is in the report. */
  #tellDivergence({ divergence }: EventOf<"divergence">): void {
    if (this.#divergenceTold) return;
    this.#divergenceTold = true;
    const [title, ...rest] = describeDivergence(divergence);
    this.#lines.write(`   ${this.#style("red", title!)}`);
    for (const line of rest) this.#lines.write(`   ${line}`);
    this.#showProgress(divergence.step + 1);
  }

  #tellError({ verdict, report: { error } }: EventOf<"case-end">): void {
    if (!error) return;
    const what = verdict === "could-not-compare" ? "could not compare" : "ended early";
    this.#lines.write(`${this.#style("red", `?? ${what} (${error.code}):`)} ${error.message}`);
  }

  #showProgress(step: number): void {
    const remaining = this.#remaining.seconds(this.#stepsDone, this.#stepsOfSuite, this.#now());
    const bar =
      this.#terminal.columns() < columnsForBar
        ? []
        : [drawBar(this.#stepsDone / Math.max(this.#stepsOfSuite, 1), barWidth)];
    const text = [
      ...bar,
      `case ${this.#caseNumber} of ${this.#cases}`,
      step > this.#stepsOfCase ? "closing" : `step ${step} of ${this.#stepsOfCase}`,
      ...(remaining === undefined ? [] : [`${formatSeconds(remaining)} left`]),
    ];
    this.#lines.wait(`  ${text.join("  ")}`);
  }

  #tellSummary(report: ParityReport): void {
    this.#lines.write(`\n${this.#style("bold", `Summary of ${report.suite}`)}`);
    for (const tested of report.cases) {
      const [mark, style] = marks[tested.verdict];
      this.#lines.write(`${this.#style(style, mark)} ${describeCase(tested)}`);
    }
    const [, style] = marks[report.verdict];
    this.#lines.write(`${this.#style(style, verdictSentence(report))} ${formatSeconds(report.seconds)}.`);
  }

  #style(style: TextStyle, text: string): string {
    return styled(this.#terminal, style, text);
  }
}

/** A case of the summary: its steps, and where it was nearest to a difference, or why it is not equal. */
function describeCase(report: CaseReport): string {
  const { name, steps, error, firstDivergence } = report;
  const begin = `${name}: ${formatAmount(steps.length, "step")}`;
  if (firstDivergence) {
    const { step, stage, tensor } = firstDivergence;
    return `${begin}; first difference in step ${step}: ${stageNames[stage]}, ${tensor}`;
  }
  if (error) return `${begin}; could not compare: ${error.code}`;
  const nearest = nearestToLimit({ cases: [report] });
  if (!nearest) return begin;
  return `${begin}; nearest to its limit: ${describeNearest(nearest)}`;
}
