import { type Stage, stages } from "../../lockstep/stages.ts";
import { multipleText } from "../number-text.ts";
import type { CaseReport, ParityReport } from "../parity-report.ts";
import { type PlacedStage, stagesOf } from "../report-summary.ts";
import { firstDifferentLevel, heatLevel, levelTexts } from "./heat-level.ts";
import { type Html, html } from "./html.ts";
import { verdictMark, verdictSigns } from "./verdict-mark.ts";

/** All cases at a glance: the worst of each stage over all steps. */
export function overviewSection({ cases }: Pick<ParityReport, "cases">): Html {
  const worst = cases.map(worstOfStages);
  const shown = stages.filter((stage) => worst.some((found) => found.has(stage)));
  return html`<section aria-labelledby="overview"><h2 id="overview">Cases and stages</h2>
<p class="note">The worst of each stage over all steps, in multiples of the noise floor: how far float32 is from float64 in the reference.</p>
${legend()}
<div class="scroll"><table class="overview"><thead><tr><th scope="col">Case</th>${shown.map((stage) => html`<th scope="col"><span>${stage}</span></th>`)}</tr></thead>
<tbody>${cases.map((report, index) => html`<tr class="${report.verdict}"><th scope="row">${verdictMark(report.verdict)} <a href="#case-${index}">${report.name}</a></th>${shown.map((stage) => cell(worst[index]!.get(stage)))}</tr>\n`)}</tbody></table></div></section>`;
}

function worstOfStages(report: CaseReport): Map<Stage, PlacedStage> {
  const worst = new Map<Stage, PlacedStage>();
  for (const placed of stagesOf(report)) {
    const other = worst.get(placed.stage.stage);
    if (other === undefined || isWorse(placed, other)) worst.set(placed.stage.stage, placed);
  }
  return worst;
}

function isWorse({ stage: a }: PlacedStage, { stage: b }: PlacedStage): boolean {
  if (a.equal !== b.equal) return b.equal;
  return (a.multiple ?? Number.POSITIVE_INFINITY) > (b.multiple ?? Number.POSITIVE_INFINITY);
}

function cell(placed: PlacedStage | undefined): Html {
  if (placed === undefined) return html`<td class="none" aria-label="not compared"></td>`;
  const { step, stage } = placed;
  const text = multipleText(stage.multiple);
  const title = `${stage.stage}, step ${step}: ${text} times, ${stage.worst}`;
  const sign = stage.equal
    ? undefined
    : html`<span role="img" aria-label="different">${verdictSigns.different}</span> `;
  return html`<td class="heat level-${heatLevel(stage)}" title="${title}">${sign}${text}</td>`;
}

/** What the colours mean. */
function legend(): Html {
  const swatch = (text: string, level: number) =>
    html`<li><span class="heat level-${level}" aria-hidden="true">${level < firstDifferentLevel ? "" : verdictSigns.different}</span> ${text}</li>`;
  const swatches = levelTexts.map(swatch);
  return html`<div class="legend"><ul aria-label="Colours of stages that are equal"><li>equal:</li>${swatches.slice(0, firstDifferentLevel)}</ul>
<ul aria-label="Colours of stages that differ"><li>different:</li>${swatches.slice(firstDifferentLevel)}</ul></div>`;
}
