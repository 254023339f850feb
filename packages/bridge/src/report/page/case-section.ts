import { type Stage, stages } from "../../lockstep/stages.ts";
import { amountText, numberText, secondsText } from "../number-text.ts";
import type { CaseReport, Divergence, StageReport } from "../parity-report.ts";
import { distanceText, elementText, tensorVerdict } from "../tensor-text.ts";
import { type Html, html } from "./html.ts";
import { type LineChart, lineChart } from "./line-chart.ts";
import { verdictMark } from "./verdict-mark.ts";

/** Modules shown before the first that differs; those before them are behind a fold. */
const modulesBefore = 2;

/** One case: its verdict, first divergence, place for the heat strip, curves and settings. */
export function caseSection(report: CaseReport, index: number, isOpen: boolean): Html {
  const { name, mode, verdict, steps, seconds, error, firstDivergence, reference, settings } = report;
  const drifts = mode === "free-running" ? driftCharts(report) : undefined;
  return html`<details class="case ${verdict}" id="case-${index}" data-case="${index}"${isOpen ? html` open` : undefined}>
<summary><h3>${verdictMark(verdict)} ${name}</h3> <span class="note">${mode}, ${amountText(steps.length, "step")}, ${secondsText(seconds)}</span></summary>
<div class="content">
${error === undefined ? undefined : html`<p class="alarm"><b>Could not compare</b> (${error.code}): <span class="message">${error.message}</span></p>`}
${firstDivergence === undefined ? undefined : divergenceBlock(firstDivergence)}
<div class="strip" data-strip><p class="note">The strip of steps and stages needs the page's script; report.json holds its numbers.</p></div>
${lossCharts(report)}
${drifts}
<p class="note">Held against ${reference}. ${timeSentence(report)}</p>
<details class="settings"><summary>Settings</summary><pre>${settingsText(settings)}</pre></details>
</div>
</details>
`;
}

/** Where a case first differs, and the way through the encoder to there. */
function divergenceBlock({ step, stage, tensor, message, activations }: Divergence): Html {
  return html`<div class="alarm"><p><b>First divergence: step ${step}, ${stage}, ${tensor}</b></p>
<p class="message">${message}</p>${activations === undefined || activations.length === 0 ? undefined : walk(activations)}</div>`;
}

function walk(activations: NonNullable<Divergence["activations"]>): Html {
  const first = activations.findIndex(({ comparison }) => !comparison.equal);
  const start = Math.max((first < 0 ? activations.length : first) - modulesBefore, 0);
  const [before, shown] = [activations.slice(0, start), activations.slice(start)];
  const fold = html`<details><summary>${amountText(before.length, "module")} before, all equal</summary><ol class="walk">${before.map(moduleItem)}</ol></details>`;
  return html`<p>${first < 0 ? "No output inside the encoder differs:" : "The walk through the encoder, in the order of computation:"}</p>
${before.length === 0 ? undefined : fold}<ol class="walk" start="${start + 1}">${shown.map(moduleItem)}</ol>`;
}

function moduleItem({ module, comparison }: NonNullable<Divergence["activations"]>[number]): Html {
  const { equal, worst } = comparison;
  const distance = distanceText(comparison);
  const values =
    equal || worst === undefined ? undefined : html`<br><span class="message">worst at ${elementText(worst)}</span>`;
  return html`<li class="${equal ? "equal" : "different"}">${verdictMark(equal ? "equal" : "different")} <code>${module}</code>
<span class="note">${tensorVerdict(comparison)}${distance && `, ${distance}`}</span>${values}</li>`;
}

/** Loss of both sides, and how far they are apart. */
function lossCharts({ steps }: CaseReport): Html | undefined {
  if (steps.length < 2) return undefined;
  const x = steps.map(({ step }) => step);
  const [ours, reference] = [steps.map(({ loss }) => loss.ours), steps.map(({ loss }) => loss.reference)];
  const apart = steps.map(({ loss }) =>
    loss.ours === null || loss.reference === null ? null : Math.abs(loss.ours - loss.reference),
  );
  const both = [
    { kind: "reference", values: reference },
    { kind: "ours", values: ours },
  ] as const;
  return html`<section><h4>Loss</h4><p class="key"><span class="line ours"></span> ours <span class="line reference"></span> reference</p>
<div class="charts">${lineChart({ title: "Loss", x, curves: both, scale: "linear" })}
${lineChart({ title: "|ours - reference|", x, curves: [{ kind: "ours", values: apart }], scale: "logarithmic" })}</div></section>`;
}

/** How each stage drifts away from the reference over the steps, by the stage's worst tensor. */
function driftCharts({ steps }: CaseReport): Html | undefined {
  const x = steps.map(({ step }) => step);
  const same: Stage[] = [];
  const [multiples, relative]: [LineChart[], LineChart[]] = [[], []];
  for (const stage of stages) {
    const reports = steps.map((step) => step.stages.find((report) => report.stage === stage));
    const compared = reports.filter((report) => report !== undefined);
    if (compared.length === 0) continue;
    if (compared.every(({ equal, multiple }) => equal && multiple === 0)) {
      same.push(stage);
      continue;
    }
    const chart = (values: (number | null)[]) =>
      ({ title: stage, x, curves: [{ kind: "ours", values }], scale: "logarithmic" }) as const;
    const limit = worstTensor(compared.at(-1)!)?.limit;
    const inMultiples = chart(reports.map((report) => report?.multiple ?? null));
    multiples.push(limit === undefined ? inMultiples : { ...inMultiples, limit });
    relative.push(chart(reports.map((report) => (report === undefined ? null : relativeRms(report)))));
  }
  if (x.length < 2 || multiples.length + same.length === 0) return undefined;
  return html`<section><h4>Drift, in multiples of float32's own</h4><p class="note">Dashed: the limit.</p>
<div class="charts">${multiples.map(lineChart)}</div>
<h4>Drift, root mean square relative to the reference</h4><div class="charts">${relative.map(lineChart)}</div>
${same.length === 0 ? undefined : html`<p class="note">The same in every step: ${same.join(", ")}.</p>`}</section>`;
}

function worstTensor(report: StageReport) {
  return report.tensors.find(({ name }) => name === report.worst);
}

function relativeRms(report: StageReport): number | null {
  const { rms, scale } = worstTensor(report) ?? { rms: null, scale: null };
  return rms === null || scale === null || scale === 0 ? null : rms / scale;
}

/** Where the time of a case went. */
function timeSentence({ steps }: CaseReport): string {
  if (steps.length === 0) return "";
  const sum = (side: "ours" | "reference" | "comparison") =>
    steps.reduce((total, { seconds }) => total + seconds[side], 0);
  const [ours, reference, comparison] = [sum("ours"), sum("reference"), sum("comparison")];
  const share = ours + reference === 0 ? "" : `, ${numberText((comparison / (ours + reference)) * 100, 2)} % on top`;
  return `Steps took ${secondsText(ours)} here and ${secondsText(reference)} in the reference; comparing ${secondsText(comparison)}${share}.`;
}

function settingsText(settings: CaseReport["settings"]): string {
  return JSON.stringify(settings, (_, value) => (typeof value === "bigint" ? String(value) : value), 2);
}
