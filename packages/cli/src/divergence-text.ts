import { type Divergence, explain, type NearestToLimit } from "@gradbank/bridge";
import { formatAmount } from "./number-format.ts";
import { markedMultiple } from "./parity-table.ts";
import { stageNames } from "./stage-names.ts";

/** Modules before the first that differs which are shown; all of them would be a long list. */
const shownBefore = 3;

/**
 * The first difference of a case in lines: step and stage; the worst tensor with its worst element, both values and what
 * the numbers name; and the walk through the encoder to the first module that differs.
 */
export function describeDivergence({ step, stage, message, activations }: Divergence): string[] {
  return [
    `First difference: step ${step}, ${stageNames[stage]}`,
    `  ${message}`,
    ...(activations ? describeWalk(activations) : []),
  ];
}

/** Where two sides that are equal were nearest to a difference: "parameter gradients of step 2, at 40 % (name)". */
export function describeNearest({ stage, step, tensor, multiple, limit }: Omit<NearestToLimit, "case">): string {
  return `${stageNames[stage]} of step ${step}, at ${Math.round((multiple / limit) * 100)} % (${tensor})`;
}

function describeWalk(activations: NonNullable<Divergence["activations"]>): string[] {
  const differing = activations.find(({ comparison }) => !comparison.equal);
  if (!differing)
    return [`  Through the encoder: each of ${formatAmount(activations.length, "module")} by itself is equal.`];
  const before = activations.slice(0, activations.indexOf(differing));
  const shown = [...before.slice(-shownBefore), differing];
  const width = Math.max(...shown.map(({ module }) => module.length));
  const skipped = before.length - Math.min(before.length, shownBefore);
  return [
    "  Through the encoder to the first module that differs, in multiples of the noise:",
    ...(skipped > 0 ? [`    ${formatAmount(skipped, "module")} before: equal`] : []),
    ...shown.map(({ module, comparison: { equal, multiple } }) => {
      const result = { equal, multiple: multiple ?? (equal ? 0 : null) };
      return `    ${module.padEnd(width)}  ${markedMultiple(result)}`;
    }),
    `    ${explain(differing.comparison)}`,
  ];
}
