import { describe, expect, test } from "vitest";
import { OptionError } from "../errors.ts";
import type { EvaluationContext, Evaluator, TextEncoder } from "./evaluator.ts";
import { SequentialEvaluator } from "./sequential-evaluator.ts";

const encoder: TextEncoder = { encode: () => Promise.reject(new Error("must not be asked")) };

function evaluator(name: string, metrics: Record<string, number>, primaryMetric = Object.keys(metrics)[0]!): Evaluator {
  return { name, primaryMetric, evaluate: async () => metrics };
}

const first = evaluator("a", { a_accuracy: 0.25, a_loss: 3 });
const second = evaluator("b", { b_recall: 0.9, b_accuracy: 0.5 }, "b_accuracy");

test("all metrics, and the last one's primary metric as the score", async () => {
  const sequence = new SequentialEvaluator([first, second]);
  expect([sequence.name, sequence.primaryMetric]).toEqual(["", "sequential_score"]);
  const metrics = await sequence.evaluate(encoder);
  expect(Object.entries(metrics)).toEqual([
    ["a_accuracy", 0.25],
    ["a_loss", 3],
    ["b_recall", 0.9],
    ["b_accuracy", 0.5],
    ["sequential_score", 0.5],
  ]);
});

test("the score is made by mainScoreFunction of all scores in order", async () => {
  const seen: number[][] = [];
  const mainScoreFunction = (scores: readonly number[]): number => {
    seen.push([...scores]);
    return Math.min(...scores);
  };
  const sequence = new SequentialEvaluator(new Set([first, second]), { mainScoreFunction });
  expect(await sequence.evaluate(encoder)).toMatchObject({ sequential_score: 0.25 });
  expect(seen).toEqual([[0.25, 0.5]]);
});

test("evaluators run one after another with the same encoder and context", async () => {
  const context: EvaluationContext = { outputPath: "runs", epoch: 1, steps: 2 };
  const events: string[] = [];
  const recording = (name: string): Evaluator => ({
    name,
    primaryMetric: name,
    async evaluate(givenEncoder, givenContext) {
      expect(givenEncoder).toBe(encoder);
      expect(givenContext).toEqual(context);
      events.push(`${name} starts`);
      await new Promise((resolve) => setTimeout(resolve, 5));
      events.push(`${name} ends`);
      return { [name]: 1 };
    },
  });
  await new SequentialEvaluator([recording("a"), recording("b")]).evaluate(encoder, context);
  expect(events).toEqual(["a starts", "a ends", "b starts", "b ends"]);
});

test("a primary metric that an evaluator chooses while it evaluates is the one that counts", async () => {
  const choosing = {
    name: "",
    primaryMetric: "dot",
    async evaluate(): Promise<Record<string, number>> {
      this.primaryMetric = "cosine";
      return { dot: 0.1, cosine: 0.2 };
    },
  };
  expect(await new SequentialEvaluator([choosing]).evaluate(encoder)).toMatchObject({ sequential_score: 0.2 });
});

test("sequences may stand in sequences", async () => {
  const inner = new SequentialEvaluator([first]);
  const outer = new SequentialEvaluator([inner, new SequentialEvaluator([second])], {
    mainScoreFunction: (scores) => scores[0]!,
  });
  expect(await outer.evaluate(encoder)).toMatchObject({ a_accuracy: 0.25, b_accuracy: 0.5, sequential_score: 0.25 });
});

describe("what is refused", () => {
  test("no evaluator", () => {
    const make = (): unknown => new SequentialEvaluator([]);
    expect(make).toThrow(OptionError);
    expect(make).toThrow("SequentialEvaluator: evaluators is empty; expected at least one.");
  });

  test("evaluators that would hide each other's metrics", () => {
    const make = (): unknown => new SequentialEvaluator([first, second, evaluator("", { a_accuracy: 1 })]);
    expect(make).toThrow(OptionError);
    expect(make).toThrow(
      'SequentialEvaluator: evaluators 0 and 2 both give the metric "a_accuracy"; expected different names. Give one of them another `name`.',
    );
  });

  test("an evaluator without its primary metric", async () => {
    const evaluation = new SequentialEvaluator([first, evaluator("", { x: 1 }, "y")]).evaluate(encoder);
    await expect(evaluation).rejects.toThrow(
      'SequentialEvaluator: evaluator 1 gave x; expected its primaryMetric "y" among them.',
    );
  });

  test("a main score that is no number", async () => {
    const mainScoreFunction = (): number => undefined as unknown as number;
    const evaluation = new SequentialEvaluator([first], { mainScoreFunction }).evaluate(encoder);
    await expect(evaluation).rejects.toThrow(
      "SequentialEvaluator: mainScoreFunction gave a value of type undefined for [0.25]; expected a number.",
    );
  });
});
