import { join } from "node:path";
import { OptionError } from "../errors.ts";
import type { SimilarityFunctionName } from "../model-folder/read-model-folder.ts";
import { encodeTexts } from "./encode-texts.ts";
import type { EvaluationContext, Evaluator, TextEncoder } from "./evaluator.ts";
import { checkCount } from "./evaluator-options.ts";
import { pairwiseSimilarity, similarityFunctionNames } from "./pairwise-similarity.ts";
import { formatProgress, formatPythonFloat, ResultsFile } from "./results-file.ts";
import { greatestMetric, SimilarityChoice } from "./similarity-choice.ts";
import { checkTextRows, rowsPerChunk } from "./text-rows.ts";

export interface TripletEvaluatorOptions {
  /** The text of every triplet that the others are compared with. */
  anchors: readonly string[];
  /** The text of every triplet that belongs to the anchor. */
  positives: readonly string[];
  /** The text of every triplet that does not. */
  negatives: readonly string[];
  /** The similarity function of the primary metric. Default: the only one, or of several the one with the best accuracy. */
  mainSimilarityFunction?: SimilarityFunctionName;
  /** How much more similar the positive must be, for all similarity functions or for each by name. Default 0. */
  margin?: number | Readonly<Partial<Record<SimilarityFunctionName, number>>>;
  /** A name that metrics and file name carry. Default "": none. */
  name?: string;
  /** Texts that the encoder encodes at once. Default 16. */
  batchSize?: number;
  /** Whether results are appended to a CSV file in the context's `outputPath`. Default true. */
  writeCsv?: boolean;
  /** How many numbers of each embedding are used, from the first. Default: all. */
  truncateDim?: number;
  /** How embeddings are compared, each for itself. Default: `mainSimilarityFunction`, else the encoder's own, else "cosine". */
  similarityFnNames?: readonly SimilarityFunctionName[];
}

/**
 * Counts the triplets whose anchor is more similar to the positive than to the negative by more than a margin, with the
 * values, metric names and results file of sentence-transformers 6.2. Euclidean and Manhattan similarity are the negative
 * distance.
 */
export class TripletEvaluator implements Evaluator {
  readonly name: string;
  readonly #anchors: readonly string[];
  readonly #positives: readonly string[];
  readonly #negatives: readonly string[];
  readonly #margins: ReadonlyMap<SimilarityFunctionName, number>;
  readonly #batchSize: number;
  readonly #similarity: SimilarityChoice;
  readonly #writeCsv: boolean;
  readonly #truncateDim: number | undefined;

  /**
   * Throws OptionError when the columns differ in length, hold no triplet or a text that is no string; and when an option
   * cannot be used.
   */
  constructor(options: TripletEvaluatorOptions) {
    this.name = options.name ?? "";
    const { anchors, positives, negatives } = options;
    checkTextRows(this.#label, { anchors, positives, negatives }, 1);
    this.#anchors = [...anchors];
    this.#positives = [...positives];
    this.#negatives = [...negatives];
    this.#margins = readMargins(options.margin ?? 0, this.#label);
    this.#batchSize = checkCount(options.batchSize ?? 16, "batchSize", this.#label);
    this.#similarity = new SimilarityChoice({
      evaluator: this.#label,
      names: options.similarityFnNames,
      main: options.mainSimilarityFunction,
      mainOption: "mainSimilarityFunction",
    });
    this.#writeCsv = options.writeCsv ?? true;
    this.#truncateDim =
      options.truncateDim === undefined ? undefined : checkCount(options.truncateDim, "truncateDim", this.#label);
  }

  /** For example "nli-dev_cosine_accuracy"; "nli-dev_max_accuracy" with several similarity functions and no main one. */
  get primaryMetric(): string {
    return `${this.#prefix}${this.#similarity.deciding}_accuracy`;
  }

  /**
   * @returns The metrics, for example "nli-dev_cosine_accuracy"; with several similarity functions "nli-dev_max_accuracy"
   *   too. Throws OptionError when the encoder gives other than one finite row a text, DataError when the results file
   *   cannot be written.
   */
  async evaluate(encoder: TextEncoder, context: EvaluationContext = {}): Promise<Record<string, number>> {
    const names = this.#similarity.namesFor(encoder);
    const columns = names.map((name) => `accuracy_${name}`);
    const file =
      context.outputPath !== undefined && this.#writeCsv
        ? new ResultsFile(join(context.outputPath, this.#fileName), ["epoch", "steps", ...columns], "\r\n")
        : undefined;
    await file?.prepare();

    const accuracies = await this.#measure(encoder, names);
    await file?.append([...formatProgress(context), ...accuracies.map(formatPythonFloat)]);

    const metrics = names.map((name, index): [string, number] => [`${name}_accuracy`, accuracies[index]!]);
    if (names.length > 1) metrics.push(["max_accuracy", greatestMetric(accuracies)]);
    return Object.fromEntries(metrics.map(([name, value]) => [`${this.#prefix}${name}`, value]));
  }

  async #measure(encoder: TextEncoder, names: readonly SimilarityFunctionName[]): Promise<number[]> {
    const counts = names.map(() => 0);
    for (let start = 0; start < this.#anchors.length; start += rowsPerChunk) {
      const encode = (texts: readonly string[], kind: string) =>
        encodeTexts(encoder, texts.slice(start, start + rowsPerChunk), {
          evaluator: this.#label,
          kind,
          batchSize: this.#batchSize,
          truncateDim: this.#truncateDim,
        });
      const anchors = await encode(this.#anchors, "anchor");
      const positives = await encode(this.#positives, "positive");
      const negatives = await encode(this.#negatives, "negative");
      for (const [index, name] of names.entries()) {
        const near = pairwiseSimilarity(name, anchors, positives);
        const far = pairwiseSimilarity(name, anchors, negatives);
        const margin = Math.fround(this.#margins.get(name)!);
        for (let row = 0; row < near.length; row++) if (near[row]! > Math.fround(far[row]! + margin)) counts[index]!++;
      }
    }
    // sentence-transformers takes the mean in single precision, and writes its digits.
    return counts.map((count) => Math.fround(count / this.#anchors.length));
  }

  get #prefix(): string {
    return this.name && `${this.name}_`;
  }

  get #fileName(): string {
    return `triplet_evaluation${this.name && `_${this.name}`}_results.csv`;
  }

  get #label(): string {
    return `TripletEvaluator${this.name && ` "${this.name}"`}`;
  }
}

function readMargins(
  margin: NonNullable<TripletEvaluatorOptions["margin"]>,
  evaluator: string,
): Map<SimilarityFunctionName, number> {
  const given: Readonly<Record<string, number | undefined>> =
    typeof margin === "number"
      ? Object.fromEntries(similarityFunctionNames.map((name) => [name, margin]))
      : { ...margin };
  for (const [name, value] of Object.entries(given)) {
    const isKnown = similarityFunctionNames.some((known) => known === name);
    if (isKnown && (value === undefined || Number.isFinite(value))) continue;
    const where = typeof margin === "number" ? "margin" : `margin.${name}`;
    throw new OptionError(
      "invalid-option",
      isKnown
        ? `${evaluator}: ${where} is ${value}; expected a finite number.`
        : `${evaluator}: margin has the key "${name}"; expected keys among ${similarityFunctionNames.join(", ")}.`,
      { option: where, found: isKnown ? value : name },
    );
  }
  return new Map(similarityFunctionNames.map((name) => [name, given[name] ?? 0]));
}
