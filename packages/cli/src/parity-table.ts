import type { Stage, StageReport, StepReport } from "@gradbank/bridge";
import { formatMultiple } from "./number-format.ts";
import { styled, type Terminal } from "./terminal.ts";

type Column = readonly [stage: Stage, wide: string, narrow: string];

/** Stages of a step in the order of the data, and how their columns are headed. */
const columns: readonly Column[] = [
  ["tokens", "tokens", "ids"],
  ["embeddings", "embeddings", "E"],
  ["scores", "scores", "scores"],
  ["labels", "labels", "labels"],
  ["loss", "loss", "loss"],
  ["embedding-gradients", "dL/dE", "dL/dE"],
  ["replayed-embeddings", "replay", "again"],
  ["bank", "bank", "bank"],
  ["parameter-gradients", "gradients", "dL/dW"],
  ["clip-norm", "norm", "norm"],
  ["moments", "moments", "m, v"],
  ["weights", "weights", "W"],
];

/** Stages that are the same or are not: they have no multiple of a noise floor. */
const exact: ReadonlySet<Stage> = new Set(["configuration", "tokens", "labels", "replayed-embeddings"]);

/** Characters of a number with the mark that it differs: `1e6!!`. */
const numberWidth = 5;
const stepWidth = 5;

/** What the table's cells say, line by line. */
export const parityLegend = [
  "A number: the worst difference, in multiples of Python's own float32 rounding.",
  "ok: equal   !!: different   -: the step has no such stage",
] as const;

/** The headings of `parityRow`'s columns. */
export function parityHeadings(terminal: Terminal): string {
  const cells = columns.map((column) => heading(column, terminal).padStart(columnWidth(column, terminal)));
  return styled(terminal, "dim", `  ${["step".padStart(stepWidth), ...cells].join(" ")}`);
}

/**
 * A step as one line: a mark, its number, and for each stage the multiple of the noise floor by which its worst tensor
 * differs. `ok` and `!!` say by sign what green and red say by colour; `-` is a stage that the step does not have.
 */
export function parityRow({ step, equal, stages }: StepReport, terminal: Terminal): string {
  const byStage = new Map(stages.map((report) => [report.stage, report]));
  const cells = columns.map((column) => cell(byStage.get(column[0]), columnWidth(column, terminal), terminal));
  const mark = styled(terminal, equal ? "green" : "red", equal ? "ok" : "!!");
  return `${mark}${[String(step).padStart(stepWidth), ...cells].join(" ")}`;
}

/** How a stage or a tensor came out: `ok` or `!!` where it had to be the same, else its multiple, marked if it differs. */
export function markedMultiple({ equal, multiple }: Pick<StageReport, "equal" | "multiple">, isExact = false): string {
  if (isExact) return equal ? "ok" : "!!";
  return `${formatMultiple(multiple)}${equal ? "" : "!!"}`;
}

function cell(report: StageReport | undefined, width: number, terminal: Terminal): string {
  if (!report) return styled(terminal, "dim", "-".padStart(width));
  const text = markedMultiple(report, exact.has(report.stage)).padStart(width);
  return styled(terminal, report.equal ? "green" : "red", text);
}

function heading([, wide, narrow]: Column, terminal: Terminal): string {
  return isNarrow(terminal) ? narrow : wide;
}

function columnWidth(column: Column, terminal: Terminal): number {
  const text = heading(column, terminal);
  return exact.has(column[0]) ? text.length : Math.max(text.length, numberWidth);
}

const widestRow = columns.reduce(
  (sum, [stage, wide]) => sum + 1 + (exact.has(stage) ? wide.length : Math.max(wide.length, numberWidth)),
  2 + stepWidth,
);

/** A file has lines of any length. */
function isNarrow({ isInteractive, columns }: Terminal): boolean {
  return isInteractive && columns() < widestRow;
}
