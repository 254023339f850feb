import type { CaseReport, ParityReport } from "../parity-report.ts";
import { type Html, html } from "./html.ts";

/** What both sides ran on, differences marked: one table for all cases that had the same. */
export function environmentSection({ cases }: Pick<ParityReport, "cases">): Html {
  const groups = new Map<string, CaseReport[]>();
  for (const report of cases) {
    const key = JSON.stringify(report.environment);
    groups.set(key, [...(groups.get(key) ?? []), report]);
  }
  return html`<section aria-labelledby="environment"><h2 id="environment">Environment</h2>
${[...groups.values()].map((group) => environmentTable(group, groups.size === 1))}</section>`;
}

function environmentTable(cases: readonly CaseReport[], isOnly: boolean): Html {
  const { ours, reference } = cases[0]!.environment;
  const names = [...new Set([...Object.keys(ours), ...Object.keys(reference)])];
  const rows = names.map((name) => {
    const [a, b] = [own(ours, name), own(reference, name)];
    const differs = a !== undefined && b !== undefined && a !== b;
    const sign = differs ? html` <span role="img" aria-label="differs">≠</span>` : undefined;
    return html`<tr${differs ? html` class="differs"` : undefined}><th scope="row">${name}${sign}</th><td>${a ?? "–"}</td><td>${b ?? "–"}</td></tr>\n`;
  });
  const caption = isOnly ? "All cases" : cases.map(({ name }) => name).join(", ");
  return html`<div class="scroll"><table class="environment"><caption>${caption}</caption>
<thead><tr><th scope="col">What</th><th scope="col">Ours</th><th scope="col">Reference</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}

/** A value by its name, were the name `toString`. */
function own(values: Readonly<Record<string, string | number>>, name: string): string | number | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}
