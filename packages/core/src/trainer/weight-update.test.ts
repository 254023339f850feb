import fc from "fast-check";
import { expect, it } from "vitest";
import { Parameters } from "../encoder/parameters.ts";
import type { SentenceEncoder } from "../encoder/sentence-encoder.ts";
import { OptionError } from "../errors.ts";
import type { Batch, ForwardBackwardOptions, Loss } from "../loss/loss.ts";
import { parseTrainingArguments } from "./arguments.ts";
import { createAdamW } from "./create-adamw.ts";
import { WeightUpdate } from "./weight-update.ts";

const name = "a.weight";
const finite = fc.float({ min: -10, max: 10, noNaN: true });
const vectors = fc.tuple(finite, finite, finite);

function makeEncoder(weights: readonly number[]): SentenceEncoder {
  const parameters = new Parameters([{ name, shape: [weights.length], data: Float32Array.from(weights) }]);
  return { parameters, trainedParameters: new Set([name]) } as unknown as SentenceEncoder;
}

/** A loss whose gradients are given beforehand, batch by batch. */
class GivenGradients implements Loss {
  readonly name = "GivenGradients";
  readonly configuration = {};
  readonly banks = [];
  readonly calls: string[] = [];
  readonly given: (readonly number[])[];
  readonly options: ForwardBackwardOptions[] = [];

  constructor(given: readonly (readonly number[])[]) {
    this.given = [...given];
  }

  async forwardBackward(encoder: SentenceEncoder, _: Batch, options: ForwardBackwardOptions = {}): Promise<number> {
    this.options.push(options);
    const scale = options.gradientScale ?? 1;
    encoder.parameters.addGradient(
      name,
      Float32Array.from(this.given.shift()!, (value) => value * scale),
    );
    return 7;
  }

  onOptimizerStep(): void {
    this.calls.push("onOptimizerStep");
  }

  async measureBankDrift(): Promise<undefined> {}

  async evaluate(): Promise<number> {
    throw new OptionError("invalid-input", "not evaluated");
  }
}

it("takes AdamW's step with the mean of the batches' gradients, clipped", async () => {
  await fc.assert(
    fc.asyncProperty(
      vectors,
      fc.array(vectors, { minLength: 1, maxLength: 4 }),
      fc.constantFrom(0, 0.5, 5),
      fc.constantFrom(0, 0.1),
      async (weights, gradients, maxGradNorm, weightDecay) => {
        const encoder = makeEncoder(weights);
        const before = [...encoder.parameters.data];
        encoder.parameters.gradients.fill(99);
        const loss = new GivenGradients(gradients);
        const trainingArguments = parseTrainingArguments({ adamBeta1: 0.8, adamBeta2: 0.9, weightDecay, maxGradNorm });
        const optimizer = createAdamW(encoder, trainingArguments);
        const update = new WeightUpdate(encoder, loss, optimizer, { maxGradNorm });
        const dropout = { seed: 1, step: 2 };
        const observer = {};
        update.zeroGradients();
        for (const _ of gradients)
          expect(await update.forwardBackward({ columns: [] }, { batches: gradients.length, dropout, observer })).toBe(
            7,
          );
        expect(loss.options.every((options) => options.dropout === dropout && options.observer === observer)).toBe(
          true,
        );
        expect(loss.calls).toEqual([]);
        expect([...encoder.parameters.data]).toEqual(before);

        const mean = before.map((_, index) => gradients.reduce((sum, g) => sum + g[index]!, 0) / gradients.length);
        const norm = Math.hypot(...mean);
        const factor = maxGradNorm === 0 || norm <= maxGradNorm ? 1 : maxGradNorm / norm;
        const applied = update.apply(0.01);
        expect(Math.abs(applied.gradNorm - norm)).toBeLessThan(1e-5);
        expect(Math.abs(applied.clipFactor - factor)).toBeLessThan(1e-5);
        expect(loss.calls).toEqual(["onOptimizerStep"]);
        before.forEach((weight, index) => {
          const gradient = mean[index]! * factor;
          expect(Math.abs(optimizer.state.firstMoments[index]! - 0.2 * gradient)).toBeLessThan(1e-5);
          expect(Math.abs(optimizer.state.secondMoments[index]! - 0.1 * gradient ** 2)).toBeLessThan(1e-4);
          // In the first step the bias corrections cancel the decay rates: m = g and v = g * g.
          const expected = weight - 0.01 * weightDecay * weight - (0.01 * gradient) / (Math.abs(gradient) + 1e-8);
          if (Math.abs(gradient) > 1e-4)
            expect(Math.abs(encoder.parameters.data[index]! - expected)).toBeLessThan(1e-5);
        });
      },
    ),
    { numRuns: 100 },
  );
});

it("takes a norm that is known already", () => {
  const encoder = makeEncoder([1, 1, 1]);
  const optimizer = createAdamW(encoder, parseTrainingArguments({}));
  const update = new WeightUpdate(encoder, new GivenGradients([]), optimizer, { maxGradNorm: 1 });
  encoder.parameters.gradients.fill(1);
  expect(update.gradientNorm()).toBeCloseTo(Math.sqrt(3), 12);
  expect(update.apply(0.1, 4)).toEqual({ gradNorm: 4, clipFactor: 1 / (4 + 1e-6) });
  // AdamW's second moment holds the gradient that it was given.
  expect(optimizer.state.secondMoments[0]).toBeCloseTo(0.001 / 16, 9);
});
