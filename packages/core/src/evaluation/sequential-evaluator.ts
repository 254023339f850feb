import { OptionError } from "../errors.ts";
import type { EvaluationContext, Evaluator, TextEncoder } from "./evaluator.ts";

export interface SequentialEvaluatorOptions {
  /** One score of the primary metrics of all evaluators, in their order; greater is better. Default: the last one. */
  mainScoreFunction?: (scores: readonly number[]) => number;
}

const scoreName = "sequential_score";

/**
 * Runs several evaluators one after another, as sentence-transformers 6.2: all metrics together, and "sequential_score",
 * which is made of their primary metrics.
 */
export class SequentialEvaluator implements Evaluator {
  readonly name = "";
  readonly primaryMetric = scoreName;
  /** In the order in which they run. */
  readonly evaluators: readonly Evaluator[];
  readonly #mainScoreFunction: (scores: readonly number[]) => number;

  /** Throws OptionError when there is no evaluator, and when two have the same primary metric: one would hide the other. */
  constructor(evaluators: Iterable<Evaluator>, options: SequentialEvaluatorOptions = {}) {
    this.evaluators = [...evaluators];
    this.#mainScoreFunction = options.mainScoreFunction ?? ((scores) => scores.at(-1)!);
    if (this.evaluators.length === 0) {
      throw new OptionError("invalid-option", "SequentialEvaluator: evaluators is empty; expected at least one.", {
        option: "evaluators",
      });
    }
    const metrics = this.evaluators.map(({ primaryMetric }) => primaryMetric);
    for (const [index, metric] of metrics.entries()) {
      const first = metrics.indexOf(metric);
      if (first === index || metric === scoreName) continue;
      throw new OptionError(
        "invalid-option",
        `SequentialEvaluator: evaluators ${first} and ${index} both give the metric "${metric}"; expected different names. Give one of them another \`name\`.`,
        { option: "evaluators", metric, first, second: index },
      );
    }
  }

  /**
   * @returns The metrics of all evaluators (of equal names the last one's) and "sequential_score". Throws what an evaluator
   *   throws, and OptionError when an evaluator does not give its primary metric or the main score is no number.
   */
  async evaluate(encoder: TextEncoder, context: EvaluationContext = {}): Promise<Record<string, number>> {
    const metrics: Record<string, number> = {};
    const scores: number[] = [];
    for (const [index, evaluator] of this.evaluators.entries()) {
      const found = await evaluator.evaluate(encoder, context);
      const score = found[evaluator.primaryMetric];
      if (score === undefined) {
        throw new OptionError(
          "invalid-input",
          `SequentialEvaluator: evaluator ${index} gave ${Object.keys(found).join(", ") || "no metrics"}; expected its primaryMetric "${evaluator.primaryMetric}" among them.`,
          { evaluator: index, expected: evaluator.primaryMetric, found: Object.keys(found) },
        );
      }
      scores.push(score);
      Object.assign(metrics, found);
    }
    const main: unknown = this.#mainScoreFunction(scores);
    if (typeof main !== "number") {
      throw new OptionError(
        "invalid-option",
        `SequentialEvaluator: mainScoreFunction gave ${main === null ? "null" : `a value of type ${typeof main}`} for [${scores.join(", ")}]; expected a number.`,
        { option: "mainScoreFunction", found: main, scores },
      );
    }
    metrics[scoreName] = main;
    return metrics;
  }
}
