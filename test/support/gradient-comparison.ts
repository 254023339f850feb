import type { FloatTensor } from "@gradbank/bridge";
import type { SentenceEncoder } from "@gradbank/core";
import { expect } from "vitest";

/** Block of the model that a parameter belongs to: `encoder.layer.3`, `embeddings`, ... */
function layerOf(name: string): string {
  return /^(?:encoder|transformer)\.layer\.\d+/.exec(name)?.[0] ?? name.split(".")[0]!;
}

/**
 * Checks every parameter's gradient: |ours - reference| <= 1e-6 + 1e-4 x the root mean square of the gradients of the
 * parameter's layer. A scale of the layer is needed because some gradients are zero but for rounding (those of
 * attention key biases: softmax does not change when all scores of a row do). Rows of embedding tables that no text
 * reaches are exactly zero on both sides; they would dilute the scale and do not count in it.
 */
export function expectSameGradients(encoder: SentenceEncoder, reference: Readonly<Record<string, FloatTensor>>): void {
  expect(Object.keys(reference).sort()).toEqual([...encoder.trainedParameters].sort());
  const layers = new Map<string, { squares: number; count: number }>();
  for (const [name, { data }] of Object.entries(reference)) {
    const layer = layers.get(layerOf(name)) ?? { squares: 0, count: 0 };
    for (const value of data) {
      layer.squares += value * value;
      if (value !== 0) layer.count++;
    }
    layers.set(layerOf(name), layer);
  }
  for (const [name, { data }] of Object.entries(reference)) {
    const { squares, count } = layers.get(layerOf(name))!;
    const scale = Math.sqrt(squares / Math.max(count, 1));
    // A comparison with nothing, or with zeros, would prove nothing.
    expect(scale, `gradients of ${layerOf(name)}`).toBeGreaterThan(1e-6);
    expectClose(encoder.parameters.gradient(name), data, 1e-6 + 1e-4 * scale, name);
  }
}

/** Checks that no element differs by more than `tolerance`; the message names the worst one. */
export function expectClose(
  ours: ArrayLike<number>,
  reference: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  expect(ours.length, `${what}: number of elements`).toBe(reference.length);
  let [worst, index] = [0, 0];
  for (let element = 0; element < ours.length; element++) {
    const difference = Math.abs(ours[element]! - reference[element]!);
    if (!(difference <= worst)) [worst, index] = [difference, element];
  }
  expect(worst, `${what}[${index}]: ${ours[index]} instead of ${reference[index]}`).toBeLessThanOrEqual(tolerance);
}
