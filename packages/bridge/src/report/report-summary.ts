import type { Stage } from "../lockstep/stages.ts";
import { stageOrder } from "../lockstep/stages.ts";
import { amountText } from "./number-text.ts";
import type { CaseReport, Divergence, ParityReport, StageReport, Verdict } from "./parity-report.ts";

/**
 * Verdict of a report. A difference that was found is the verdict even where another case could not be compared; without
 * any case nothing was compared.
 */
export function reportVerdict(cases: readonly Pick<CaseReport, "verdict">[]): Verdict {
  const found = new Set(cases.map(({ verdict }) => verdict));
  if (found.has("different")) return "different";
  return found.size === 1 && found.has("equal") ? "equal" : "could-not-compare";
}

/** How much a report holds. */
export interface ReportCounts {
  readonly cases: Readonly<Record<Verdict, number>>;
  readonly steps: number;
  /** Stages compared, over all steps and cases. */
  readonly stages: number;
  /** Tensors compared. */
  readonly tensors: number;
}

/** Counts cases by verdict, steps, stages and tensors. */
export function countReport({ cases }: Pick<ParityReport, "cases">): ReportCounts {
  const counts = { equal: 0, different: 0, "could-not-compare": 0 };
  let [steps, stages, tensors] = [0, 0, 0];
  for (const report of cases) {
    counts[report.verdict]++;
    steps += report.steps.length;
    for (const { stage } of stagesOf(report)) {
      stages++;
      tensors += stage.compared;
    }
  }
  return { cases: counts, steps, stages, tensors };
}

/** One stage of a case and the step that it belongs to: 0 for the configuration, which is compared before the first. */
export interface PlacedStage {
  readonly step: number;
  readonly stage: StageReport;
}

/** All stages of a case in the order in which they were compared. */
export function stagesOf({ configuration, steps }: Pick<CaseReport, "configuration" | "steps">): PlacedStage[] {
  return [
    ...(configuration === undefined ? [] : [{ step: 0, stage: configuration }]),
    ...steps.flatMap(({ step, stages }) => stages.map((stage) => ({ step, stage }))),
  ];
}

/** The first divergence of a case. */
export interface PlacedDivergence {
  readonly case: CaseReport;
  readonly divergence: Divergence;
}

/** The divergence nearest to the start: of the lowest step, there of the earliest stage, there of the first case. */
export function firstDivergence({ cases }: Pick<ParityReport, "cases">): PlacedDivergence | undefined {
  return cases
    .flatMap((report) =>
      report.firstDivergence === undefined ? [] : [{ case: report, divergence: report.firstDivergence }],
    )
    .sort(
      (a, b) =>
        a.divergence.step - b.divergence.step || stageOrder(a.divergence.stage) - stageOrder(b.divergence.stage),
    )[0];
}

/** A stage that is equal, and by how much. */
export interface NearestToLimit {
  readonly case: CaseReport;
  /** 0 for the configuration. */
  readonly step: number;
  readonly stage: Stage;
  readonly tensor: string;
  readonly multiple: number;
  /** Largest multiple that would have been equal. */
  readonly limit: number;
}

/** Of all stages that are equal, the one that was nearest to its limit; undefined where all are the same to the bit. */
export function nearestToLimit({ cases }: Pick<ParityReport, "cases">): NearestToLimit | undefined {
  let [nearest, highest]: [NearestToLimit | undefined, number] = [undefined, 0];
  for (const report of cases) {
    for (const { step, stage } of stagesOf(report)) {
      const limit = stage.tensors.find(({ name }) => name === stage.worst)?.limit;
      if (!stage.equal || stage.multiple === null || limit === undefined || !(stage.multiple / limit > highest))
        continue;
      highest = stage.multiple / limit;
      nearest = { case: report, step, stage: stage.stage, tensor: stage.worst, multiple: stage.multiple, limit };
    }
  }
  return nearest;
}

/** The verdict in one sentence, with what it rests on. */
export function verdictSentence(report: Pick<ParityReport, "verdict" | "cases">): string {
  const { cases, steps, tensors } = countReport(report);
  const all = amountText(report.cases.length, "case");
  if (report.verdict === "equal") {
    return `Equal to the reference in ${all}, ${amountText(steps, "step")} and ${amountText(tensors, "tensor")}.`;
  }
  const missing = cases["could-not-compare"];
  if (report.verdict === "could-not-compare") {
    return missing === 0 ? "Nothing was compared." : `Could not compare ${missing} of ${all}.`;
  }
  const rest = missing === 0 ? "" : `; ${missing} could not be compared`;
  return `Different from the reference in ${cases.different} of ${all}${rest}.`;
}
