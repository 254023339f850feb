import { type Stage, stages } from "../../lockstep/stages.ts";
import type { CaseReport, ParityReport, StageReport } from "../parity-report.ts";
import { tensorCells, tensorColumns, worstFirst } from "../tensor-text.ts";
import { firstDifferentLevel, heatLevel } from "./heat-level.ts";

/** Characters of tensor tables that a page holds: those of all cells for short reports, of the worst for long ones. */
const tableBudget = 4_000_000;

/** What the page's script draws from. */
export interface PageData {
  /** Headings of the tables. */
  readonly columns: readonly string[];
  /** First heat level of stages that differ. */
  readonly firstDifferent: number;
  readonly cases: readonly PageCase[];
}

/** Step x stage strip of one case. */
export interface PageCase {
  /** One a column: 0 is before the first step. */
  readonly steps: readonly number[];
  /** Those stages that the case has, in the order of the data. */
  readonly rows: readonly PageRow[];
}

/** One stage over all steps. */
export interface PageRow {
  readonly stage: Stage;
  /** One character a column: the heat level, or `.` where the stage was not compared. */
  readonly levels: string;
  /** One a column: multiple of the noise floor, null where infinite or not compared. */
  readonly multiples: readonly (number | null)[];
  /** Names of worst tensors, and which of them is that of each column. */
  readonly names: readonly string[];
  readonly worst: readonly number[];
  /** Columns whose multiple is one of the tolerance, for no noise was measured. */
  readonly byTolerance: readonly number[];
  /** Tables of tensors by column, one text for each of `columns`, worst tensor first. */
  readonly tables: Readonly<Record<number, PageTable>>;
}

/** Tensors of one cell. */
export interface PageTable {
  /** Tensors compared; those that are equal are not listed, but for the worst. */
  readonly compared: number;
  readonly tensors: readonly (readonly string[])[];
}

/**
 * Shrinks a report to what the page draws. Numbers are rounded to what is shown. Tables of tensors are kept up to a
 * budget: those of cells that differ first, in the order of steps, then those nearest to differing.
 */
export function pageData({ cases }: Pick<ParityReport, "cases">): PageData {
  const drawn = cases.map(pageCase);
  const cells = drawn.flatMap(({ cells }) => cells);
  cells.sort(
    (a, b) => Number(a.stage.equal) - Number(b.stage.equal) || (a.stage.equal ? b.heat - a.heat : a.column - b.column),
  );
  let left = tableBudget;
  for (const { stage, tables, column } of cells) {
    const table = { compared: stage.compared, tensors: worstFirst(stage.tensors).map(tensorCells) };
    left -= JSON.stringify(table).length;
    if (left < 0) break;
    tables[column] = table;
  }
  return { columns: tensorColumns, firstDifferent: firstDifferentLevel, cases: drawn.map(({ page }) => page) };
}

interface Cell {
  readonly stage: StageReport;
  readonly column: number;
  readonly heat: number;
  readonly tables: Record<number, PageTable>;
}

function pageCase({ configuration, steps }: CaseReport): { page: PageCase; cells: Cell[] } {
  const columns = [
    ...(configuration === undefined ? [] : [{ step: 0, stages: [configuration] }]),
    ...steps.map(({ step, stages }) => ({ step, stages })),
  ];
  const byStage = columns.map((column) => new Map(column.stages.map((stage) => [stage.stage, stage])));
  const cells: Cell[] = [];
  const rows = stages
    .filter((stage) => byStage.some((column) => column.has(stage)))
    .map((stage): PageRow => {
      const reports = byStage.map((column) => column.get(stage));
      const names = [...new Set(reports.flatMap((report) => report?.worst ?? []))];
      const tables: Record<number, PageTable> = {};
      reports.forEach((report, column) => {
        if (report === undefined) return;
        cells.push({ stage: report, column, heat: report.multiple ?? Number.MAX_VALUE, tables });
      });
      return {
        stage,
        levels: reports.map((report) => (report === undefined ? "." : heatLevel(report))).join(""),
        multiples: reports.map((report) => shown(report?.multiple ?? null)),
        names,
        worst: reports.map((report) => (report === undefined ? -1 : names.indexOf(report.worst))),
        byTolerance: [...reports.keys()].filter((column) => isByTolerance(reports[column])),
        tables,
      };
    });
  return { page: { steps: columns.map(({ step }) => step), rows }, cells };
}

function isByTolerance(report: StageReport | undefined): boolean {
  const worst = report?.tensors.find(({ name }) => name === report.worst);
  return worst !== undefined && worst.noise === undefined;
}

function shown(multiple: number | null): number | null {
  return multiple === null ? null : Math.min(Number(multiple.toPrecision(3)), Number.MAX_VALUE);
}
