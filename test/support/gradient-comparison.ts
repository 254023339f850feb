import { compareTensor, relativeDifference, type StepComparison, shareOfTolerance } from "@gradbank/bridge";
import type { SentenceEncoder } from "@gradbank/core";
import { expect } from "vitest";

/**
 * Checks that every stage of a step was compared and is equal; a message names the worst tensor of a stage that is not.
 * The tolerances are those of `compareStep`.
 */
export function expectEqualStages(
  comparison: StepComparison,
  encoder: SentenceEncoder,
  { columns, isReplayed }: { readonly columns: number; readonly isReplayed: boolean },
): void {
  const tensors = new Map(comparison.stages.map(({ stage, tensors }) => [stage, tensors]));
  expect([...tensors.keys()]).toEqual([
    "tokens",
    "embeddings",
    "loss",
    "embedding-gradients",
    ...(isReplayed ? ["replayed-embeddings"] : []),
    "parameter-gradients",
  ]);
  for (const [stage, compared] of tensors)
    if (stage !== "loss" && stage !== "parameter-gradients") expect(compared, stage).toHaveLength(columns);
  const parameters = tensors.get("parameter-gradients")!;
  expect(parameters.map(({ name }) => name).sort()).toEqual([...encoder.trainedParameters].sort());
  for (const { stage, worst, equal } of comparison.stages) {
    const { name, index, ours, theirs, difference, scale, tolerance } = worst;
    expect(
      equal,
      `${stage}, ${name}[${index}]: ${ours} instead of ${theirs}, ${shareOfTolerance(worst)} times the tolerance ${tolerance}; difference ${difference}, relative ${relativeDifference(worst)} of ${scale}`,
    ).toBe(true);
  }
  // A comparison with nothing, or with zeros, would prove nothing.
  for (const { name, scale, elements } of [...tensors.values()].flat()) {
    expect(scale, `scale of ${name}`).toBeGreaterThan(1e-6);
    expect(elements, `elements of ${name}`).toBeGreaterThan(0);
  }
  expect(comparison.equal).toBe(true);
}

/** Checks that no element differs by more than `tolerance`; the message names the worst one. */
export function expectClose(
  ours: ArrayLike<number>,
  reference: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  expect(ours.length, `${what}: number of elements`).toBe(reference.length);
  const { difference, index, equal } = compareTensor(what, ours, reference, { scale: 1, tolerance });
  expect(
    equal,
    `${what}[${index}]: ${ours[index]} instead of ${reference[index]}, difference ${difference} above ${tolerance}`,
  ).toBe(true);
}
