import { OptionError } from "../errors.ts";
import type { SimilarityFunctionName } from "../model-folder/read-model-folder.ts";
import type { TextEncoder } from "./evaluator.ts";
import { checkNames } from "./evaluator-options.ts";
import { similarityFunctionNames } from "./pairwise-similarity.ts";

export interface SimilarityChoiceOptions {
  /** Who asks, for messages. */
  evaluator: string;
  /** The functions to compare by. Default: `main`, else the encoder's own, else cosine. */
  names?: readonly SimilarityFunctionName[] | undefined;
  /** The function that decides. Default: the only one, or of several the one with the greatest metric. */
  main?: SimilarityFunctionName | undefined;
  /** The name of the option that gave `main`, for messages. */
  mainOption: string;
}

/** By which similarity functions an evaluator compares, and which of them decides. */
export class SimilarityChoice {
  readonly #names: readonly SimilarityFunctionName[] | undefined;
  readonly #main: SimilarityFunctionName | undefined;
  #ofEncoder: SimilarityFunctionName = "cosine";

  /** Throws OptionError for unknown or repeated names, and for a main function that is not one of them. */
  constructor({ evaluator, names, main, mainOption }: SimilarityChoiceOptions) {
    if (main !== undefined) checkNames([main], similarityFunctionNames, mainOption, evaluator);
    this.#main = main;
    const given = names && checkNames(names, similarityFunctionNames, "similarityFnNames", evaluator);
    this.#names = given ?? (main === undefined ? undefined : [main]);
    if (main === undefined || this.#names!.includes(main)) return;
    throw new OptionError(
      "invalid-option",
      `${evaluator}: ${mainOption} is "${main}", but similarityFnNames is ${JSON.stringify(this.#names)}; expected one of them.`,
      { option: mainOption, found: main, expected: this.#names },
    );
  }

  /** The functions to compare an encoder's embeddings by. */
  namesFor(encoder: TextEncoder): readonly SimilarityFunctionName[] {
    this.#ofEncoder = encoder.similarityFunction ?? "cosine";
    return this.#names ?? [this.#ofEncoder];
  }

  /** The function whose metric decides, or "max" when it is the greatest one of several. */
  get deciding(): SimilarityFunctionName | "max" {
    if (this.#main !== undefined) return this.#main;
    const names = this.#names ?? [this.#ofEncoder];
    return names.length > 1 ? "max" : names[0]!;
  }
}

/** The greatest of some metrics as Python's `max` finds it: a first NaN stays, a later one is passed over. */
export function greatestMetric(metrics: readonly number[]): number {
  let greatest = metrics[0]!;
  for (const metric of metrics) if (metric > greatest) greatest = metric;
  return greatest;
}
