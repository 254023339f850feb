/** A run that is done: how long it took. */
export interface FinishedRun {
  readonly arm: string;
  readonly seconds: number;
}

/**
 * Seconds that the runs to come will take: each as long as its arm took so far, on average, or, where the arm has not run
 * yet, as all runs did. Undefined while nothing has run.
 *
 * @param begun part that is done of the first run to come, from 0 to 1, and its seconds so far
 */
export function remainingSeconds(
  finished: readonly FinishedRun[],
  toCome: readonly string[],
  begun: { readonly done: number; readonly seconds: number } = { done: 0, seconds: 0 },
): number | undefined {
  const current = begun.done > 0 ? begun.seconds / begun.done : undefined;
  const all = [...finished.map(({ seconds }) => seconds), ...(current === undefined ? [] : [current])];
  if (all.length === 0) return undefined;
  const average = mean(all);
  const expected = toCome.map((arm, index) => {
    if (index === 0 && current !== undefined) return current - begun.seconds;
    const own = finished.filter((run) => run.arm === arm).map(({ seconds }) => seconds);
    return own.length > 0 ? mean(own) : average;
  });
  return expected.reduce((sum, seconds) => sum + seconds, 0);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
