import { TrainingError } from "../errors.ts";
import { closestName } from "./arguments.ts";

/** The best evaluation of a run. */
export interface BestEvaluation {
  /** Updates done when it was made. */
  readonly step: number;
  /** Value of the metric that tells the better model. */
  readonly value: number;
}

/**
 * The value of a metric that is named with or without `eval_`: the Trainer puts that before the evaluator's own names,
 * and `loss` is `eval_loss`.
 */
export function findMetric(metrics: Readonly<Record<string, number>>, name: string): number | undefined {
  const plain = plainMetricName(name);
  return metrics[`eval_${plain}`] ?? metrics[plain];
}

/** @throws TrainingError "unknown-metric" that lists those there are. */
export function requireMetric(metrics: Readonly<Record<string, number>>, name: string, step: number): number {
  const value = findMetric(metrics, name);
  if (value !== undefined) return value;
  const known = Object.keys(metrics).map(plainMetricName);
  const closest = closestName(plainMetricName(name), known);
  throw new TrainingError(
    "unknown-metric",
    `metricForBestModel is "${name}", but the evaluation after update ${step} has no such metric. ${closest === undefined ? "" : `Did you mean ${closest}? `}It has: ${known.join(", ")}.`,
    { metric: name, closest, known, step },
  );
}

/** Whether an evaluation is better than the best one so far. NaN never is. */
export function isBetter(value: number, best: number | undefined, greaterIsBetter: boolean): boolean {
  if (greaterIsBetter) return value > (best ?? Number.NEGATIVE_INFINITY);
  return value < (best ?? Number.POSITIVE_INFINITY);
}

function plainMetricName(name: string): string {
  return name.startsWith("eval_") ? name.slice("eval_".length) : name;
}
