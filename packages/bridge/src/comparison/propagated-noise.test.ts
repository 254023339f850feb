import { describe, expect, it } from "vitest";
import { normalNumbers } from "../testing/normal-numbers.ts";
import { noiseOfGradients, noiseOfLoss, noiseOfScores } from "./propagated-noise.ts";
import { rootMeanSquare } from "./statistics.ts";

const normal = normalNumbers(7);
const normals = (length: number) => Array.from({ length }, normal);

/** Mean cross-entropy over rows whose positives are on the diagonal, and its gradient with respect to the scores. */
function crossEntropy(scores: readonly (readonly number[])[]) {
  const probabilities = scores.map((row) => {
    const exponentials = row.map(Math.exp);
    const sum = exponentials.reduce((a, b) => a + b);
    return exponentials.map((value) => value / sum);
  });
  return {
    loss: scores.reduce((sum, _, row) => sum - Math.log(probabilities[row]![row]!), 0) / scores.length,
    gradient: probabilities.map((row, index) =>
      row.map((p, column) => (p - (column === index ? 1 : 0)) / scores.length),
    ),
  };
}

/** What a change of the scores by noise of root mean square `size` does, in root mean square over trials. */
function measured(rows: number, spread: number, size: number) {
  const [losses, relative]: [number[], number[]] = [[], []];
  for (let trial = 0; trial < 300; trial++) {
    const scores = Array.from({ length: rows }, (_, row) =>
      normals(rows).map((value, column) => spread * (value + (row === column ? 1 : 0))),
    );
    const before = crossEntropy(scores);
    const after = crossEntropy(scores.map((row) => row.map((score) => score + size * normal())));
    losses.push(after.loss - before.loss);
    const [expected, found] = [before.gradient.flat(), after.gradient.flat()];
    relative.push(rootMeanSquare(found.map((value, index) => value - expected[index]!)) / rootMeanSquare(expected));
  }
  return { loss: rootMeanSquare(losses), gradient: rootMeanSquare(relative) };
}

describe("noise that a stage passes on", () => {
  for (const rows of [2, 4, 16]) {
    for (const spread of [0.1, 3, 8]) {
      it(`is what ${rows} rows of scores of size ${spread} give to loss and gradients, or not much more`, () => {
        const size = 1e-5;
        const scores = { max: 3 * size, rms: size };
        const { loss, gradient } = measured(rows, spread, size);
        // 300 trials tell a root mean square to 4 %.
        expect(loss).toBeLessThan(1.1 * noiseOfLoss(scores, rows));
        expect(loss).toBeGreaterThan(noiseOfLoss(scores, rows) / 10);
        expect(gradient).toBeLessThan(2 * noiseOfGradients(scores, 1, 100));
        expect(gradient).toBeGreaterThan(noiseOfGradients(scores, 1, 100) / 10);
      });
    }
  }

  for (const confidence of [1, 4, 8]) {
    it(`is what a rounded log-sum-exp gives to gradients when positives score ${confidence} more`, () => {
      const [rows, size] = [8, 1e-6];
      for (let trial = 0; trial < 50; trial++) {
        const { loss, gradient } = crossEntropy(
          Array.from({ length: rows }, (_, row) =>
            normals(rows).map((value, column) => 0.1 * value + (row === column ? confidence : 0)),
          ),
        );
        // The gradient is p / rows, less 1 / rows for the positive: an error d of the log-sum-exp turns p into p * (1 - d).
        const changes = gradient.flatMap((row, index) => {
          const error = size * normal();
          return row.map((value, column) => (value + (column === index ? 1 / rows : 0)) * error);
        });
        const relative = rootMeanSquare(changes) / rootMeanSquare(gradient.flat());
        const expected = noiseOfGradients({ max: 3 * size, rms: size }, 1, loss);
        expect(relative).toBeLessThan(3 * expected);
        expect(relative).toBeGreaterThan(expected / 10);
      }
    });
  }

  it("excuses no more when the loss vanishes, and nothing when it is no cross-entropy", () => {
    const scores = { max: 1e-6, rms: 1e-6 };
    expect(noiseOfGradients(scores, 1, 0)).toBe(noiseOfGradients(scores, 1, 1e-4));
    expect(noiseOfGradients(scores, 1, 1e-4)).toBeCloseTo(1e-2, 5);
    expect(noiseOfGradients(scores, 2, -3)).toBe(2e-6);
  });

  it("is that of a dot product of two rounded unit vectors", () => {
    const [dimension, size] = [32, 1e-6];
    const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, k) => sum + value * b[k]!, 0);
    const changes = Array.from({ length: 1000 }, () => {
      const [u, v] = [normals(dimension), normals(dimension)].map((raw) => {
        const norm = Math.hypot(...raw);
        return raw.map((value) => value / norm);
      });
      const [rounded, other] = [u!, v!].map((vector) => vector.map((value) => value + size * normal()));
      return 20 * (dot(rounded!, other!) - dot(u!, v!));
    });
    const expected = noiseOfScores({ max: 3 * size, rms: size }, 20);
    expect(rootMeanSquare(changes)).toBeGreaterThan(0.9 * expected);
    expect(rootMeanSquare(changes)).toBeLessThan(1.1 * expected);
  });
});
