import { join } from "node:path";
import type { SimilarityFunctionName } from "../model-folder/read-model-folder.ts";
import { pearsonCorrelation, spearmanCorrelation } from "./correlation.ts";
import { encodeTexts } from "./encode-texts.ts";
import type { EvaluationContext, Evaluator, TextEncoder } from "./evaluator.ts";
import { checkCount } from "./evaluator-options.ts";
import { pairwiseSimilarity } from "./pairwise-similarity.ts";
import { formatProgress, formatPythonFloat, ResultsFile } from "./results-file.ts";
import { greatestMetric, SimilarityChoice } from "./similarity-choice.ts";
import { checkTextRows, rowsPerChunk } from "./text-rows.ts";

export interface EmbeddingSimilarityEvaluatorOptions {
  /** The first text of every pair. */
  sentences1: readonly string[];
  /** The second text of every pair. */
  sentences2: readonly string[];
  /** How similar the texts of every pair are, on any scale; greater is more similar. */
  scores: ArrayLike<number>;
  /** Texts that the encoder encodes at once. Default 16. */
  batchSize?: number;
  /** The similarity function of the primary metric. Default: the only one, or of several the one with the best Spearman. */
  mainSimilarity?: SimilarityFunctionName;
  /** How embeddings are compared, each for itself. Default: `mainSimilarity`, else the encoder's own, else "cosine". */
  similarityFnNames?: readonly SimilarityFunctionName[];
  /** A name that metrics and file name carry. Default "": none. */
  name?: string;
  /** Whether results are appended to a CSV file in the context's `outputPath`. Default true. */
  writeCsv?: boolean;
  /** How many numbers of each embedding are used, from the first. Default: all. */
  truncateDim?: number;
}

interface Correlations {
  pearson: number;
  spearman: number;
}

/**
 * Correlates the similarity of pairs of texts, measured on their embeddings, with given scores: Pearson's correlation and
 * Spearman's, with the values, metric names and results file of sentence-transformers 6.2.
 *
 * A correlation with constant numbers is NaN. Besides the texts it holds one number a pair and similarity function.
 */
export class EmbeddingSimilarityEvaluator implements Evaluator {
  readonly name: string;
  readonly #sentences1: readonly string[];
  readonly #sentences2: readonly string[];
  readonly #scores: Float64Array;
  readonly #batchSize: number;
  readonly #similarity: SimilarityChoice;
  readonly #writeCsv: boolean;
  readonly #truncateDim: number | undefined;

  /**
   * Throws OptionError when the columns differ in length, hold fewer than two pairs, a text that is no string or a score
   * that is not finite; and when an option cannot be used.
   */
  constructor(options: EmbeddingSimilarityEvaluatorOptions) {
    this.name = options.name ?? "";
    const { sentences1, sentences2, scores } = options;
    checkTextRows(this.#label, { sentences1, sentences2, scores }, 2);
    this.#sentences1 = [...sentences1];
    this.#sentences2 = [...sentences2];
    this.#scores = Float64Array.from(scores);
    this.#batchSize = checkCount(options.batchSize ?? 16, "batchSize", this.#label);
    this.#similarity = new SimilarityChoice({
      evaluator: this.#label,
      names: options.similarityFnNames,
      main: options.mainSimilarity,
      mainOption: "mainSimilarity",
    });
    this.#writeCsv = options.writeCsv ?? true;
    this.#truncateDim =
      options.truncateDim === undefined ? undefined : checkCount(options.truncateDim, "truncateDim", this.#label);
  }

  /** For example "sts-dev_spearman_cosine"; "sts-dev_spearman_max" with several similarity functions and no main one. */
  get primaryMetric(): string {
    return `${this.#prefix}spearman_${this.#similarity.deciding}`;
  }

  /**
   * @returns The metrics, for example "sts-dev_pearson_cosine" and "sts-dev_spearman_cosine"; with several similarity
   *   functions "sts-dev_pearson_max" and "sts-dev_spearman_max" too. Throws OptionError when the encoder gives other than
   *   one finite row a text, DataError when the results file cannot be written.
   */
  async evaluate(encoder: TextEncoder, context: EvaluationContext = {}): Promise<Record<string, number>> {
    const names = this.#similarity.namesFor(encoder);
    const columns = names.flatMap((name) => [`${name}_pearson`, `${name}_spearman`]);
    const file =
      context.outputPath !== undefined && this.#writeCsv
        ? new ResultsFile(join(context.outputPath, this.#fileName), ["epoch", "steps", ...columns], "\r\n")
        : undefined;
    await file?.prepare();

    const correlations = await this.#measure(encoder, names);
    await file?.append([
      ...formatProgress(context),
      ...correlations.flatMap(({ pearson, spearman }) => [formatPythonFloat(pearson), formatPythonFloat(spearman)]),
    ]);

    const metrics = names.flatMap((name, index): [string, number][] => [
      [`pearson_${name}`, correlations[index]!.pearson],
      [`spearman_${name}`, correlations[index]!.spearman],
    ]);
    if (names.length > 1) {
      metrics.push(["pearson_max", greatestMetric(correlations.map(({ pearson }) => pearson))]);
      metrics.push(["spearman_max", greatestMetric(correlations.map(({ spearman }) => spearman))]);
    }
    return Object.fromEntries(metrics.map(([name, value]) => [`${this.#prefix}${name}`, value]));
  }

  async #measure(encoder: TextEncoder, names: readonly SimilarityFunctionName[]): Promise<Correlations[]> {
    const similarities = names.map(() => new Float32Array(this.#scores.length));
    const options = {
      evaluator: this.#label,
      kind: "sentence",
      batchSize: this.#batchSize,
      truncateDim: this.#truncateDim,
    };
    for (let start = 0; start < this.#scores.length; start += rowsPerChunk) {
      const end = start + rowsPerChunk;
      const left = await encodeTexts(encoder, this.#sentences1.slice(start, end), options);
      const right = await encodeTexts(encoder, this.#sentences2.slice(start, end), options);
      for (const [index, name] of names.entries()) {
        similarities[index]!.set(pairwiseSimilarity(name, left, right), start);
      }
    }
    return similarities.map((values) => ({
      pearson: pearsonCorrelation(this.#scores, values),
      spearman: spearmanCorrelation(this.#scores, values),
    }));
  }

  get #prefix(): string {
    return this.name && `${this.name}_`;
  }

  get #fileName(): string {
    return `similarity_evaluation${this.name && `_${this.name}`}_results.csv`;
  }

  get #label(): string {
    return `EmbeddingSimilarityEvaluator${this.name && ` "${this.name}"`}`;
  }
}
