import type { RunResult } from "./run-result.ts";

/** A number over seeds. */
export interface Aggregate {
  readonly mean: number;
  /** Least and greatest value. */
  readonly min: number;
  readonly max: number;
  /** Sample standard deviation (divisor n - 1); 0 for one value. */
  readonly deviation: number;
  readonly values: readonly number[];
}

/** @throws RangeError for no values */
export function aggregate(values: readonly number[]): Aggregate {
  if (values.length === 0) throw new RangeError("aggregate of no values");
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return {
    mean,
    min: Math.min(...values),
    max: Math.max(...values),
    deviation: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0,
    values,
  };
}

/**
 * A metric of an arm over its seeds; undefined where no run has it.
 *
 * @param options relativeTo: divide by that arm's value with the same seed, or, where that arm runs once, by its only one;
 * seeds without one are left out
 */
export function aggregateMetric(
  runs: readonly RunResult[],
  arm: string,
  metric: string,
  options: { readonly relativeTo?: string | undefined; readonly factor?: number | undefined } = {},
): Aggregate | undefined {
  const { relativeTo, factor = 1 } = options;
  const base = runs.filter((run) => run.arm === relativeTo);
  const values = runs
    .filter((run) => run.arm === arm)
    .flatMap(({ seed, metrics }) => {
      const value = metrics[metric];
      if (value === undefined) return [];
      if (relativeTo === undefined) return [value * factor];
      const other = (base.find((run) => run.seed === seed) ?? (base.length === 1 ? base[0] : undefined))?.metrics[
        metric
      ];
      return other === undefined ? [] : [(value / other) * factor];
    });
  return values.length === 0 ? undefined : aggregate(values);
}
