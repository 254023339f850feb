import { createAdamW } from "@gradbank/core";
import { type CaseOverrides, galleryCase } from "./gallery-case.ts";
import { afterBackward, shiftElement } from "./gradient-mutants.ts";
import { intercept } from "./intercept.ts";
import type { Seams } from "./mutant.ts";
import type { CaseRunner } from "./run-case.ts";

/** One kind of error in ever smaller sizes, one a step: teacher-forced steps are judged by themselves. */
export interface Ladder {
  readonly name: string;
  /** What an error of size 1 is. */
  readonly what: string;
  readonly overrides: CaseOverrides;
  /** From the largest to the smallest. */
  readonly errors: readonly number[];
  /** @param error gives the size of the step at hand. */
  readonly seams: (error: () => number) => Seams;
}

/** What became of one size. */
export interface Rung {
  readonly error: number;
  readonly found: boolean;
}

const scaled =
  (parameter: string) =>
  (error: () => number): Seams =>
    afterBackward(parameter, (gradient) => {
      for (let index = 0; index < gradient.length; index++) gradient[index]! *= 1 + error();
    });
const shifted =
  (parameter: string) =>
  (error: () => number): Seams =>
    afterBackward(parameter, (gradient) => shiftElement(gradient, Math.floor(gradient.length / 3), error()));
const decades = (from: number, to: number): number[] =>
  Array.from({ length: (from - to) * 3 + 1 }, (_, rung) => 10 ** (from - rung / 3));

/** Errors whose smallest size that is found is reported in docs/parity.md. */
export const ladders: readonly Ladder[] = [
  {
    name: "one weight matrix's gradient, sent whole",
    what: "all elements of a 32 x 16 matrix, relative",
    overrides: {},
    errors: decades(-4, -8),
    seams: scaled("encoder.layer.0.intermediate.dense.weight"),
  },
  {
    name: "one element of a gradient, sent whole",
    what: "one of 512 elements, in root mean squares of the matrix",
    overrides: {},
    errors: decades(-3, -7),
    seams: shifted("encoder.layer.0.intermediate.dense.weight"),
  },
  {
    name: "one weight matrix's gradient, sketched",
    what: "all elements of a 1536 x 384 matrix of all-MiniLM-L6-v2, relative",
    overrides: { model: "all-MiniLM-L6-v2", batchSize: 4 },
    errors: decades(-4, -6),
    seams: scaled("encoder.layer.3.intermediate.dense.weight"),
  },
  {
    name: "one element of a gradient, sketched",
    what: "one of 589,824 elements, in root mean squares of the matrix",
    overrides: { model: "all-MiniLM-L6-v2", batchSize: 4 },
    errors: decades(0, -3),
    seams: shifted("encoder.layer.3.intermediate.dense.weight"),
  },
  {
    name: "one weight after the update",
    what: "one of 256 weights, relative",
    overrides: {},
    errors: decades(-3, -8),
    seams: (error) => ({
      optimizer: (encoder, settings) => {
        const optimizer = createAdamW(encoder, settings.arguments);
        intercept(optimizer, "step", (step) => (learningRate, gradientScale) => {
          step(learningRate, gradientScale);
          encoder.parameters.get("encoder.layer.0.attention.self.query.weight").data[17]! *= 1 + error();
        });
        return optimizer;
      },
    }),
  },
];

/** Goes down a ladder, a step for each size. */
export async function climbDown(runner: CaseRunner, { overrides, errors, seams }: Ladder): Promise<Rung[]> {
  const rungs: Rung[] = [];
  const settings = galleryCase({ ...overrides, steps: errors.length });
  const faults = seams(() => errors[rungs.length]!);
  await runner.run(settings, faults, ({ divergence }) => {
    rungs.push({ error: errors[rungs.length]!, found: divergence !== undefined });
    return true;
  });
  return rungs;
}

/** The size down to which every error is found; undefined: not even the largest. */
export function smallestFound(rungs: readonly Rung[]): number | undefined {
  const missed = rungs.findIndex(({ found }) => !found);
  return rungs[missed < 0 ? rungs.length - 1 : missed - 1]?.error;
}
