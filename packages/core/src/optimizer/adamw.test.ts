import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Parameters } from "../encoder/parameters.ts";
import { AdamW, decays } from "./adamw.ts";
import { clipFactor, gradientNorm } from "./gradient-norm.ts";

function makeParameters(values: Record<string, number[]>): Parameters {
  return new Parameters(
    Object.entries(values).map(([name, data]) => ({ name, shape: [data.length], data: Float32Array.from(data) })),
  );
}

describe("AdamW", () => {
  it("follows the update rule", () => {
    const parameters = makeParameters({ "a.weight": [1, -2, 3] });
    const optimizer = new AdamW(parameters, new Set(["a.weight"]), { weightDecay: 0.01 });
    const expected = adamwByDefinition(
      [1, -2, 3],
      [
        [0.5, -1, 0.1],
        [0.25, 2, -0.1],
        [1e-3, 0, 5],
      ],
      0.1,
      0.01,
    );
    for (const gradient of [
      [0.5, -1, 0.1],
      [0.25, 2, -0.1],
      [1e-3, 0, 5],
    ]) {
      parameters.gradients.set(gradient);
      optimizer.step(0.1);
    }
    parameters.data.forEach((value, index) => {
      expect(value).toBeCloseTo(expected[index]!, 5);
    });
  });

  it("decays what the Trainer decays and leaves untrained parameters alone", () => {
    const parameters = makeParameters({
      "a.weight": [1],
      "a.bias": [1],
      "LayerNorm.weight": [1],
      "pooler.weight": [1],
    });
    new AdamW(parameters, new Set(["a.weight", "a.bias", "LayerNorm.weight"]), { weightDecay: 0.5 }).step(0.1);
    expect([...parameters.data].map((value) => Number(value.toFixed(6)))).toEqual([0.95, 1, 1, 1]);
  });

  it("goes on from a saved state as if it had not stopped", () => {
    fc.assert(
      fc.property(fc.array(fc.float({ min: -2, max: 2, noNaN: true }), { minLength: 6, maxLength: 6 }), (values) => {
        const run = (stop: boolean) => {
          const parameters = makeParameters({ w: [1, 2] });
          let optimizer = new AdamW(parameters, new Set(["w"]));
          for (let step = 0; step < 3; step++) {
            parameters.gradients.set(values.slice(2 * step, 2 * step + 2));
            optimizer.step(0.01);
            if (stop) {
              const { step: count, firstMoments, secondMoments } = optimizer.state;
              const saved = { step: count, firstMoments: firstMoments.slice(), secondMoments: secondMoments.slice() };
              optimizer = new AdamW(parameters, new Set(["w"]));
              optimizer.restore(saved);
            }
          }
          return [...parameters.data];
        };
        expect(run(true)).toEqual(run(false));
      }),
    );
  });

  it("refuses options that cannot be", () => {
    const parameters = makeParameters({ w: [1] });
    expect(() => new AdamW(parameters, new Set(), { betas: [0.9, 1] })).toThrow(/betas is \[0\.9,1\]/);
    expect(() => new AdamW(parameters, new Set(), { weightDecay: -1 })).toThrow(/weightDecay is -1/);
    expect(() =>
      new AdamW(parameters, new Set()).restore({
        step: 1,
        firstMoments: new Float32Array(2),
        secondMoments: new Float32Array(2),
      }),
    ).toThrow(/holds 2 and 2 moments; the model has 1 parameters/);
  });
});

/** The update rule written out for one number at a time, in double precision. */
function adamwByDefinition(start: number[], gradients: number[][], lr: number, decay: number): number[] {
  return start.map((initial, index) => {
    let [p, m, v] = [initial, 0, 0];
    gradients.forEach((gradient, step) => {
      const g = gradient[index]!;
      p -= lr * decay * p;
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      const [mHat, vHat] = [m / (1 - 0.9 ** (step + 1)), v / (1 - 0.999 ** (step + 1))];
      p -= (lr * mHat) / (Math.sqrt(vHat) + 1e-8);
    });
    return p;
  });
}

describe("decays", () => {
  it("follows the Trainer's patterns", () => {
    const kept = ["encoder.layer.0.attention.self.query.weight", "embeddings.word_embeddings.weight"];
    const spared = [
      "encoder.layer.0.attention.self.query.bias",
      "embeddings.LayerNorm.weight",
      "transformer.layer.0.sa_layer_norm.weight",
      "encoder.relative_attention_bias.weight",
    ];
    expect(kept.map(decays)).toEqual([true, true]);
    expect(spared.map(decays)).toEqual([false, false, false, false]);
  });
});

describe("clipping", () => {
  it("scales the whole gradient down to the limit and never up", () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 1 }),
        fc.double({ min: 0.1, max: 10, noNaN: true }),
        (values, maximum) => {
          const norm = Math.hypot(...values);
          expect(gradientNorm(Float32Array.from(values))).toBeCloseTo(norm, 6);
          const clipped = clipFactor(norm, maximum) * norm;
          expect(clipped).toBeLessThanOrEqual(Math.min(norm, maximum) + 1e-9);
          if (norm < maximum - 1e-5) expect(clipFactor(norm, maximum)).toBe(1);
        },
      ),
    );
    expect(clipFactor(1e9, 0)).toBe(1);
  });
});
