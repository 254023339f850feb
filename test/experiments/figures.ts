import { type ChartSeries, drawChart } from "./chart.ts";
import type { Experiment, Figure, LearningCurves, StepCurves } from "./experiment.ts";
import type { Evaluation, RunResult } from "./run-result.ts";

/** The SVG of a figure; undefined while no run has its numbers. */
export function drawFigure(figure: Figure, experiment: Experiment, runs: readonly RunResult[]): string | undefined {
  const arms = experiment.arms.filter(
    ({ name, kind }) => kind !== "untrained" && (figure.arms === undefined || figure.arms.includes(name)),
  );
  const series = arms.flatMap(({ name, title }): ChartSeries[] => {
    const own = runs.filter(({ arm }) => arm === name);
    const points =
      figure.kind === "learning-curves"
        ? learningCurve(figure, own, untrained(experiment, runs), timedSeconds(figure, name, runs))
        : stepCurve(figure, own);
    return points.length > 1 ? [{ label: title, points, markers: figure.kind === "learning-curves" }] : [];
  });
  if (series.length === 0) return undefined;
  return drawChart({
    title: figure.title,
    series,
    ...(figure.kind === "learning-curves"
      ? {
          xLabel: figure.over === "seconds" ? "training time without evaluations, s" : "pairs trained on",
          yLabel: "NDCG@10",
        }
      : {
          xLabel: "batch",
          yLabel: figure.value === "seconds" ? "seconds of a batch" : "resident memory, MB",
          fromZero: true,
        }),
  });
}

function untrained({ arms }: Experiment, runs: readonly RunResult[]): readonly Evaluation[] {
  const names = arms.filter(({ kind }) => kind === "untrained").map(({ name }) => name);
  return runs.find(({ arm }) => names.includes(arm))?.evaluations ?? [];
}

/** Seconds of an update of an arm, where they were timed in turns. */
function timedSeconds({ secondsFrom }: LearningCurves, arm: string, runs: readonly RunResult[]): number | undefined {
  return runs.find((run) => run.arm === secondsFrom)?.metrics[`${arm}.seconds`];
}

/** Means over the seeds, evaluation by evaluation. */
function learningCurve(
  { over }: LearningCurves,
  runs: readonly RunResult[],
  before: readonly Evaluation[],
  secondsOfUpdate: number | undefined,
) {
  const count = Math.min(...runs.map(({ evaluations }) => evaluations.length));
  if (runs.length === 0 || count === 0) return [];
  const mean = (index: number, value: (evaluation: Evaluation) => number) =>
    runs.reduce((sum, { evaluations }) => sum + value(evaluations[index]!), 0) / runs.length;
  return [
    ...before.map(({ ndcgAt10 }) => ({ x: 0, y: ndcgAt10 })),
    ...Array.from({ length: count }, (_, index) => ({
      x: mean(index, (evaluation) =>
        over === "seconds" && secondsOfUpdate !== undefined ? evaluation.step * secondsOfUpdate : evaluation[over],
      ),
      y: mean(index, ({ ndcgAt10 }) => ndcgAt10),
    })),
  ];
}

function stepCurve({ value }: StepCurves, runs: readonly RunResult[]) {
  const steps = runs[0]?.steps[value] ?? [];
  return steps.map((number, index) => ({ x: index + 1, y: value === "resident" ? number / 1e6 : number }));
}
