import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Machine } from "../bench/machine.ts";
import { writeResults } from "../bench/results-file.ts";
import type { Experiment } from "./experiment.ts";
import { drawFigure } from "./figures.ts";
import { markdownTable } from "./markdown-table.ts";
import type { RunResult } from "./run-result.ts";

/** Where a report goes. */
export interface ReportFolders {
  readonly results: string;
  readonly figures: string;
}

/** Writes the experiment's JSON, Markdown table and figures; returns the table and the files. */
export async function writeReport(
  experiment: Experiment,
  runs: readonly RunResult[],
  machine: Machine,
  folders: ReportFolders,
): Promise<{ readonly table: string; readonly files: readonly string[] }> {
  const { name, title, data, model, maximumLength } = experiment;
  const table = markdownTable(experiment, runs);
  const json = join(folders.results, `${name}.json`);
  const markdown = join(folders.results, `${name}.md`);
  await writeResults(json, {
    version: 1,
    name,
    title,
    date: new Date().toISOString(),
    machine,
    data,
    model,
    maximumLength,
    arms: joinNumbers(experiment.arms),
    runs: joinNumbers(runs.map(shorten)),
  });
  await writeFile(markdown, `${table}\n`);
  const files = [json, markdown];
  await mkdir(folders.figures, { recursive: true });
  for (const figure of experiment.figures) {
    const drawn = drawFigure(figure, experiment, runs);
    if (drawn === undefined) continue;
    const path = join(folders.figures, figure.file);
    await writeFile(path, drawn);
    files.push(path);
  }
  return { table, files };
}

/** A run for the results' file: steps with as many digits as are measured. */
function shorten({ settings: _, steps, ...run }: RunResult) {
  return {
    ...run,
    steps: Object.fromEntries(
      Object.entries(steps).map(([name, values]) => [
        name,
        values.map((value: number) => Number(value.toPrecision(5))),
      ]),
    ),
  };
}

/** Writes lists of numbers as one text each: one line instead of hundreds. */
function joinNumbers(value: unknown): unknown {
  if (Array.isArray(value))
    return value.length > 0 && value.every((item) => typeof item === "number")
      ? value.join(" ")
      : value.map(joinNumbers);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, joinNumbers(item)]));
}
