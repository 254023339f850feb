import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Reference } from "@gradbank/bridge";
import { cleanCases } from "./clean-cases.ts";
import { type CleanSteps, runCleanSteps } from "./clean-steps.ts";
import { gallery } from "./gallery.ts";
import { CaseRunner } from "./run-case.ts";
import { type Finding, runMutant } from "./run-mutant.ts";
import { climbDown, type Ladder, ladders, smallestFound } from "./sensitivity.ts";

/*
 * Measures detection, and writes what it finds between the markers of docs/parity.md. From the repository's root:
 * node --import tsx --conditions=@gradbank/source test/parity/mutants/write-table.ts [detection] [clean] [sensitivity]
 */

const root = join(import.meta.dirname, "..", "..", "..");
const page = join(root, "docs", "parity.md");

const parts: Readonly<Record<string, (runner: CaseRunner) => Promise<string>>> = {
  detection: async (runner) => {
    const findings: Finding[] = [];
    for (const mutant of gallery) findings.push(await runMutant(runner, mutant));
    return detectionTable(findings);
  },
  clean: async (runner) => {
    const result = await runCleanSteps(runner, cleanCases(40, 25));
    for (const { case: name, step, message } of result.alarms) console.error(`${name}, step ${step}: ${message}`);
    return cleanTable(result);
  },
  sensitivity: async (runner) => {
    const found: [Ladder, number | undefined][] = [];
    for (const ladder of ladders) found.push([ladder, smallestFound(await climbDown(runner, ladder))]);
    return sensitivityTable(found);
  },
};

const asked = process.argv.slice(2);
const unknown = asked.find((part) => !(part in parts));
if (unknown !== undefined)
  throw new Error(`There is no part "${unknown}". Give none for all, or some of ${Object.keys(parts).join(", ")}.`);
const reference = await Reference.start({ threads: 1 });
try {
  const runner = new CaseRunner(reference, join(root, "test", ".cache", "models"));
  for (const [part, measure] of Object.entries(parts))
    if (asked.length === 0 || asked.includes(part)) await fillIn(part, await measure(runner));
} finally {
  await reference.close();
}

async function fillIn(part: string, content: string): Promise<void> {
  const text = await readFile(page, "utf8");
  const [begin, end] = [`<!-- begin ${part} -->`, `<!-- end ${part} -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${page} has no "${begin}" with "${end}" behind it; put them in.`);
  await writeFile(page, `${text.slice(0, from + begin.length)}\n\n${content}\n\n${text.slice(to)}`);
}

function detectionTable(findings: readonly Finding[]): string {
  const first = findings.filter(({ mutant, step }) => step === mutant.effectStep).length;
  const right = findings.filter(({ stageIsRight }) => stageIsRight).length;
  const share = ((100 * right) / findings.length).toFixed(1);
  return [
    `${findings.length} bugs; ${first} found in the first step in which they change a bit; the right stage named for ${right} (${share} %).`,
    "",
    ...table(
      ["bug", "what is wrong", "first effect", "found", "stage", "stage named", "walk ends at"],
      findings.map(({ mutant, effectStep, step, stage, module }) => [
        mutant.name,
        mutant.what,
        `step ${effectStep ?? "-"}`,
        step === undefined ? "**no**" : `step ${step}`,
        mutant.stages.join(" or "),
        mutant.stages.some((right) => right === stage) ? stage! : `**${stage ?? "none"}**`,
        module === undefined ? "" : `\`${module}\``,
      ]),
    ),
  ].join("\n");
}

function cleanTable({ steps, alarms, distribution }: CleanSteps): string {
  return [
    `${steps.toLocaleString("en-US")} steps, ${alarms.length} false alarms.`,
    "",
    ...table(
      ["mode", "stage", "steps", "median", "99 %", "largest", "where"],
      distribution.map(({ mode, stage, steps: count, median, p99, largest, where }) => [
        mode,
        stage,
        String(count),
        median.toFixed(2),
        p99.toFixed(2),
        largest.toFixed(2),
        largest > 0 ? where : "",
      ]),
    ),
  ].join("\n");
}

function sensitivityTable(found: readonly (readonly [Ladder, number | undefined])[]): string {
  return table(
    ["error", "of what", "smallest found"],
    found.map(([{ name, what }, error]) => [name, what, error === undefined ? "none" : error.toExponential(0)]),
  ).join("\n");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`);
}
