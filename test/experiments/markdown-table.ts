import { type Aggregate, aggregateMetric } from "./aggregate.ts";
import type { Arm, Experiment } from "./experiment.ts";
import type { RunResult } from "./run-result.ts";

/** The experiment's table in Markdown: one line an arm that has numbers, in the experiment's order. */
export function markdownTable({ arms, table }: Pick<Experiment, "arms" | "table">, runs: readonly RunResult[]): string {
  const rows = arms
    .flatMap((arm): readonly Arm[] => (arm.kind === "update-times" && arm.arms ? arm.arms : [arm]))
    .map(({ name, title }) => [
      title,
      ...table.map(({ metric, from, digits, relativeTo, factor }) =>
        formatAggregate(
          from === undefined
            ? aggregateMetric(runs, name, metric, { relativeTo, factor })
            : aggregateMetric(runs, from, `${name}.${metric}`, { factor }),
          digits,
        ),
      ),
    ])
    .filter((cells) => cells.slice(1).some((cell) => cell !== "-"));
  return formatMarkdown([["", ...table.map(({ title }) => title)], ...rows]);
}

/** For example "0.8123 (0.8101 to 0.8140)"; without the spread where there is one value. */
export function formatAggregate(value: Aggregate | undefined, digits: number): string {
  if (!value) return "-";
  const text = (number: number) => number.toFixed(digits);
  if (value.values.length === 1) return text(value.mean);
  return `${text(value.mean)} (${text(value.min)} to ${text(value.max)})`;
}

/** Lays out a Markdown table, the first row its head: the first column flush left, the others flush right. */
export function formatMarkdown(rows: readonly (readonly string[])[]): string {
  const head = rows[0]!;
  const cells = rows.map((row) => head.map((_, column) => (row[column] ?? "").replaceAll("|", "\\|")));
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => row[column]!.length)));
  const lines = cells.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join(" | "),
  );
  const rule = widths
    .map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`))
    .join(" | ");
  return [lines[0]!, rule, ...lines.slice(1)].map((line) => `| ${line} |`).join("\n");
}
