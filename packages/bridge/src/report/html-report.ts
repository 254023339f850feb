import { createHash } from "node:crypto";
import { amountText, multipleText, numberText, secondsText } from "./number-text.ts";
import { caseSection } from "./page/case-section.ts";
import { environmentSection } from "./page/environment-section.ts";
import { embeddedJson, Html, html } from "./page/html.ts";
import { overviewSection } from "./page/overview-section.ts";
import { pageData } from "./page/page-data.ts";
import { pageScript } from "./page/page-script.ts";
import { pageStyle } from "./page/page-style.ts";
import { verdictMark } from "./page/verdict-mark.ts";
import type { ParityReport } from "./parity-report.ts";
import { countReport, firstDivergence, nearestToLimit, verdictSentence } from "./report-summary.ts";

/** Cases that differ and are open at the start; drawing more at once would keep the reader waiting. */
const openCases = 3;

/**
 * The report as one page that needs nothing else: no network, no other file. Verdict, overview, divergences, curves and
 * environment are there without script; the step x stage strips and the tables behind their cells are drawn by it.
 */
export function htmlReport(report: ParityReport): string {
  const open = new Set(
    report.cases.length === 1
      ? report.cases
      : report.cases.filter(({ verdict }) => verdict !== "equal").slice(0, openCases),
  );
  // The hash lets this script run and no other, should anything slip through the escaping.
  const hash = createHash("sha256").update(pageScript).digest("base64");
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'`;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${verdictSentence(report)} ${report.suite}</title>
<style>${new Html(pageStyle)}</style>
</head>
<body>
${header(report)}
<main>
${report.cases.length === 0 ? undefined : overviewSection(report)}
<section aria-labelledby="cases"><h2 id="cases">Cases</h2>
<label class="filter"><input type="checkbox" id="only-failing"> only those that are not equal</label>
${report.cases.map((one, index) => caseSection(one, index, open.has(one)))}</section>
${report.cases.length === 0 ? undefined : environmentSection(report)}
</main>
<script type="application/json" id="page-data">${embeddedJson(pageData(report))}</script>
<script>${new Html(pageScript)}</script>
</body>
</html>
`;
  return page.markup;
}

function header(report: ParityReport): Html {
  const counts = countReport(report);
  const facts: [string, string][] = [
    ["Suite", report.suite],
    ["Cases", casesText(counts.cases)],
    ["Steps", counts.steps.toLocaleString("en-US")],
    ["Compared", `${amountText(counts.stages, "stage")}, ${amountText(counts.tensors, "tensor")}`],
    ["Took", secondsText(report.seconds)],
    ["Started", report.started],
  ];
  return html`<header class="${report.verdict}"><p class="name">gradbank parity</p>
<h1>${verdictMark(report.verdict)} ${verdictSentence(report)}</h1>
${divergenceLine(report)}${limitLine(report)}
<dl>${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl></header>`;
}

function casesText(cases: ReturnType<typeof countReport>["cases"]): string {
  const texts = [`${cases.equal} equal`];
  if (cases.different > 0) texts.push(`${cases.different} different`);
  if (cases["could-not-compare"] > 0) texts.push(`${cases["could-not-compare"]} not compared`);
  return texts.join(", ");
}

function divergenceLine(report: ParityReport): Html | undefined {
  const first = firstDivergence(report);
  if (first === undefined) return undefined;
  const { step, stage, message } = first.divergence;
  return html`<p>First divergence: <a href="#case-${report.cases.indexOf(first.case)}">${first.case.name}</a>, step ${step}, ${stage}.
<span class="message">${message}</span></p>`;
}

function limitLine(report: ParityReport): Html | undefined {
  const nearest = nearestToLimit(report);
  if (nearest === undefined) return undefined;
  const { step, stage, tensor, multiple, limit } = nearest;
  const place = step === 0 ? stage : `step ${step}, ${stage}`;
  return html`<p class="note">Of what is equal, nearest to its limit: <a href="#case-${report.cases.indexOf(nearest.case)}">${nearest.case.name}</a>, ${place}, <code>${tensor}</code>,
with ${multipleText(multiple)} where ${numberText(limit)} is allowed.</p>`;
}
