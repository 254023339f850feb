import { type StageComparison, type StepStage, shareOfTolerance } from "@gradbank/bridge";
import { formatMagnitude } from "./number-format.ts";
import type { QuickstartEvent } from "./quickstart-events.ts";

type ParityStep = Extract<QuickstartEvent, { type: "parity-step" }>;

const headings = ["step", "loss", "in Python", "difference", "dL/dE", "parameters", "verdict"] as const;
const widths = [4, 11, 11, 10, 9, 11, 9] as const;

const stageNames: Readonly<Record<StepStage, string>> = {
  tokens: "token ids",
  embeddings: "embeddings",
  loss: "loss",
  "embedding-gradients": "dL/dE",
  "replayed-embeddings": "GradCache's second pass",
  "parameter-gradients": "parameter gradients",
};

/** The headings of `parityRow`'s columns. */
export function parityHeadings(): string {
  return row(headings);
}

/** Both losses of a step, and the largest relative differences of the loss, of dL/dE and of the parameters' gradients. */
export function parityRow({ step, loss, differences, equal }: ParityStep): string {
  return row([
    String(step),
    loss.ours.toFixed(8),
    loss.theirs.toFixed(8),
    formatMagnitude(differences.loss),
    formatMagnitude(differences.embeddingGradients),
    formatMagnitude(differences.parameterGradients),
    equal ? "equal" : "NOT EQUAL",
  ]);
}

/** The worst tensor of a stage: its place, and both numbers with how far they are from the tolerance. */
export function describeStage({ stage, worst }: Omit<StageComparison, "tensors">): { place: string; numbers: string } {
  const { name, index, ours, theirs, tolerance } = worst;
  const share = shareOfTolerance(worst);
  const distance =
    share <= 1
      ? `at ${Math.round(share * 100)} % of its tolerance`
      : tolerance === 0
        ? "which must be the same exactly"
        : `${formatMagnitude(share)} times its tolerance`;
  return {
    place: name === stage ? stageNames[stage] : `${stageNames[stage]}, ${name}[${index}]`,
    numbers: `${shown(ours)} here, ${shown(theirs)} in Python, ${distance}`,
  };
}

/** As many digits as tell two float32 numbers apart. */
function shown(value: number): string {
  return String(Number(value.toPrecision(9)));
}

function row(cells: readonly string[]): string {
  return cells.map((cell, index) => cell.padStart(widths[index]!)).join("  ");
}
