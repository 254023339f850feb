import { describe, expect, it } from "vitest";
import { directArm, equalMemory, untrained } from "./equal-memory.ts";
import type { Experiment, Figure } from "./experiment.ts";
import { drawFigure } from "./figures.ts";
import type { Evaluation } from "./run-result.ts";
import { growth } from "./run-training.ts";
import { makeRun } from "./testing/make-run.ts";

const experiment: Experiment = {
  ...equalMemory,
  arms: [untrained, directArm("a", "arm a"), directArm("b", "arm b")],
};
const curves: Figure = { kind: "learning-curves", over: "seconds", file: "x.svg", title: "curves" };

function evaluation(seconds: number, ndcgAt10: number): Evaluation {
  return { step: 1, pairs: seconds * 10, seconds, ndcgAt10 };
}

/** Number of points of each line. */
const pointsOfLines = (svg: string) =>
  [...svg.matchAll(/class="line s\d+" d="M[^h"]+"/g)].map(([line]) => line.match(/[ML]/g)!.length);

describe("drawFigure", () => {
  const runs = [
    makeRun({ arm: "untrained", evaluations: [evaluation(0, 0.4)] }),
    makeRun({ arm: "a", seed: 1, evaluations: [evaluation(10, 0.5), evaluation(20, 0.6)] }),
    makeRun({ arm: "a", seed: 2, evaluations: [evaluation(30, 0.7), evaluation(40, 0.8)] }),
    makeRun({ arm: "b", seed: 1, evaluations: [evaluation(15, 0.55)] }),
  ];

  it("draws one line an arm, each from the untrained model on", () => {
    const svg = drawFigure(curves, experiment, runs)!;
    expect(pointsOfLines(svg)).toEqual([3, 2]);
    expect(svg).toContain("arm a");
    expect(svg).not.toContain(">untrained<");
  });

  it("draws means over the seeds", () => {
    const both = drawFigure(curves, experiment, runs.slice(0, 3));
    const mean = drawFigure(curves, experiment, [
      runs[0]!,
      makeRun({ arm: "a", evaluations: [evaluation(20, 0.6), evaluation(30, 0.7)] }),
    ]);
    expect(both).toBe(mean);
  });

  it("takes seconds from the run that timed the arms in turns", () => {
    const timed = makeRun({ arm: "turns", metrics: { "a.seconds": 4 } });
    const run = (seconds: number) =>
      makeRun({
        arm: "a",
        evaluations: [1, 2].map((step) => ({ step, pairs: 1, seconds: step * seconds, ndcgAt10: 0.5 + step / 10 })),
      });
    const figure: Figure = { ...curves, secondsFrom: "turns" };
    expect(drawFigure(figure, experiment, [timed, run(99)])).toBe(drawFigure(curves, experiment, [run(4)]));
    expect(drawFigure(figure, experiment, [run(99)])).toBe(drawFigure(curves, experiment, [run(99)]));
  });

  it("draws a number of every step, of the arms asked for", () => {
    const steps = { pairs: [1, 1], seconds: [2, 3], resident: [5e6, 6e6], loss: [1, 1] };
    const svg = drawFigure(
      { kind: "step-curves", value: "resident", file: "x.svg", title: "steps", arms: ["b"] },
      experiment,
      [makeRun({ arm: "a", steps }), makeRun({ arm: "b", steps })],
    )!;
    expect(pointsOfLines(svg)).toEqual([2]);
    expect(svg).toContain(">arm b<");
  });

  it("is undefined where nothing has the numbers", () => {
    expect(drawFigure(curves, experiment, [makeRun({ arm: "a" })])).toBeUndefined();
  });
});

describe("growth", () => {
  it("is the difference of the last quarter and the second, whatever the first steps and one outlier did", () => {
    const resident = [1, 1, 1, 1, 10, 10, 10, 10, 11, 11, 11, 11, 13, 13, 13, 900].map((value) => value * 1e6);
    expect(growth(resident)).toBe(3e6);
    expect(growth([5, 5, 5])).toBe(0);
  });
});
