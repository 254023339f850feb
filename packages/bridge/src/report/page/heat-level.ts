import type { StageReport } from "../parity-report.ts";

/** Upper ends of the levels of stages that are equal: multiples of the noise floor, in half decades. */
const equalEnds = [0, 0.3, 1, 3];
/** The same for stages that differ, in decades. */
const differentEnds = [10, 100, 1000];

/** First level of stages that differ: all below are equal. */
export const firstDifferentLevel = equalEnds.length + 1;

/** Meaning of each level, by which a cell is coloured. */
export const levelTexts: readonly string[] = [
  "the same",
  ...equalEnds.slice(1).map((end) => `up to ${end}`),
  "more",
  ...differentEnds.map((end) => `up to ${end}`),
  "more",
];

/** Level of a stage on a logarithmic scale of multiples; a stage that differs never shares one with a stage that is equal. */
export function heatLevel({ equal, multiple }: Pick<StageReport, "equal" | "multiple">): number {
  const ends = equal ? equalEnds : differentEnds;
  const place = multiple === null ? -1 : ends.findIndex((end) => multiple <= end);
  return (equal ? 0 : firstDifferentLevel) + (place < 0 ? ends.length : place);
}
