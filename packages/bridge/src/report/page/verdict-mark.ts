import type { Verdict } from "../parity-report.ts";
import { type Html, html } from "./html.ts";

/** A verdict's sign, so that colour is never the only thing that tells it. */
export const verdictSigns: Readonly<Record<Verdict, string>> = { equal: "✓", different: "✕", "could-not-compare": "!" };

const words: Readonly<Record<Verdict, string>> = {
  equal: "equal",
  different: "different",
  "could-not-compare": "could not compare",
};

/** The sign in the verdict's colour, with its word for screen readers. */
export function verdictMark(verdict: Verdict): Html {
  return html`<span class="mark ${verdict}" role="img" aria-label="${words[verdict]}">${verdictSigns[verdict]}</span>`;
}
