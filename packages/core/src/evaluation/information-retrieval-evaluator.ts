import { join } from "node:path";
import { type Embeddings, normalizeEmbeddings, type SimilarityFunction, writeDotProducts } from "../embeddings.ts";
import { OptionError } from "../errors.ts";
import { encodeTexts } from "./encode-texts.ts";
import type { EvaluationContext, Evaluator, TextEncoder } from "./evaluator.ts";
import { checkCount, checkNames } from "./evaluator-options.ts";
import { formatProgress, formatPythonFloat, ResultsFile } from "./results-file.ts";
import { computeRetrievalMetrics, type RetrievalCutoffs, type RetrievalMetrics } from "./retrieval-metrics.ts";
import { TopHits } from "./top-hits.ts";

/** Texts by id. */
export type TextsById = ReadonlyMap<string, string> | Readonly<Record<string, string>>;

export interface InformationRetrievalEvaluatorOptions extends Partial<RetrievalCutoffs> {
  /** The queries by id. Queries without a relevant document are left out. */
  queries: TextsById;
  /** The documents by id. */
  corpus: TextsById;
  /** The ids of the relevant documents by the id of the query. */
  relevantDocs: ReadonlyMap<string, Iterable<string>> | Readonly<Record<string, Iterable<string>>>;
  /** Documents that are encoded and scored at once; the metrics do not depend on it. Default 50,000. */
  corpusChunkSize?: number;
  /** Ranks at which the mean reciprocal rank is cut off. Default [10]. */
  mrrAtK?: readonly number[];
  /** Ranks at which the normalised discounted cumulative gain is cut off. Default [10]. */
  ndcgAtK?: readonly number[];
  /** Ranks at which accuracy is cut off. Default [1, 3, 5, 10]. */
  accuracyAtK?: readonly number[];
  /** Ranks at which precision and recall are cut off. Default [1, 3, 5, 10]. */
  precisionRecallAtK?: readonly number[];
  /** Ranks at which the mean average precision is cut off. Default [100]. */
  mapAtK?: readonly number[];
  /** Texts that the encoder encodes at once. Default 32. */
  batchSize?: number;
  /** A name that metrics and file name carry. Default "": none. */
  name?: string;
  /** Whether results are appended to a CSV file in the context's `outputPath`. Default true. */
  writeCsv?: boolean;
  /** How many numbers of each embedding are used, from the first. Default: all. */
  truncateDim?: number;
  /** How documents are scored, each for itself. Default: the encoder's own `similarityFunction`, else "cosine". */
  scoreFunctions?: readonly SimilarityFunction[];
  /** The score function of the primary metric. Default: the one with the best NDCG in the first evaluation. */
  mainScoreFunction?: SimilarityFunction;
}

const scoreFunctionNames: readonly SimilarityFunction[] = ["cosine", "dot"];
const metricOrder = ["accuracy", "precision", "recall", "ndcg", "mrr", "map"] as const;
// Tiles of scores that stay in the processor's cache.
const queryTile = 32;
const documentTile = 64;

/**
 * Searches every query among all documents and measures at which ranks the relevant ones are found: accuracy, precision,
 * recall, mean reciprocal rank, NDCG and mean average precision, with the values, metric names and results file of
 * sentence-transformers 6.2.
 *
 * Documents are ordered by score descending, and equal scores by id ascending (by code points). A document is not skipped
 * when its id equals the query's.
 */
export class InformationRetrievalEvaluator implements Evaluator {
  readonly name: string;
  readonly #queryTexts: string[] = [];
  readonly #relevantDocuments: ReadonlySet<string>[] = [];
  readonly #corpusIds: string[];
  readonly #corpusTexts: string[];
  readonly #ranks: Int32Array;
  readonly #cutoffs: RetrievalCutoffs;
  readonly #corpusChunkSize: number;
  readonly #batchSize: number;
  readonly #writeCsv: boolean;
  readonly #truncateDim: number | undefined;
  readonly #scoreFunctions: readonly SimilarityFunction[] | undefined;
  readonly #mainScoreFunction: SimilarityFunction | undefined;
  #primaryScoreFunction: SimilarityFunction;
  #hasChosen = false;

  /** Throws OptionError when there is no document, no query with a relevant document, or when an option cannot be used. */
  constructor(options: InformationRetrievalEvaluatorOptions) {
    this.name = options.name ?? "";
    this.#cutoffs = {
      accuracyAtK: checkCutoffs(options.accuracyAtK ?? [1, 3, 5, 10], "accuracyAtK"),
      precisionRecallAtK: checkCutoffs(options.precisionRecallAtK ?? [1, 3, 5, 10], "precisionRecallAtK"),
      mrrAtK: checkCutoffs(options.mrrAtK ?? [10], "mrrAtK"),
      ndcgAtK: checkCutoffs(options.ndcgAtK ?? [10], "ndcgAtK"),
      mapAtK: checkCutoffs(options.mapAtK ?? [100], "mapAtK"),
    };
    this.#corpusChunkSize = checkCount(options.corpusChunkSize ?? 50_000, "corpusChunkSize", this.#label);
    this.#batchSize = checkCount(options.batchSize ?? 32, "batchSize", this.#label);
    this.#writeCsv = options.writeCsv ?? true;
    this.#truncateDim =
      options.truncateDim === undefined ? undefined : checkCount(options.truncateDim, "truncateDim", this.#label);
    this.#scoreFunctions =
      options.scoreFunctions && checkNames(options.scoreFunctions, scoreFunctionNames, "scoreFunctions", this.#label);
    this.#mainScoreFunction = options.mainScoreFunction;
    if (options.mainScoreFunction)
      checkNames([options.mainScoreFunction], scoreFunctionNames, "mainScoreFunction", this.#label);
    this.#primaryScoreFunction = this.#mainScoreFunction ?? this.#scoreFunctions?.[0] ?? "cosine";
    this.#checkMainScoreFunction(this.#scoreFunctions);

    const relevantDocs = new Map<string, Iterable<string>>(entriesOf(options.relevantDocs));
    for (const [id, text] of entriesOf(options.queries)) {
      const ids = relevantDocs.get(id);
      if (typeof ids === "string") {
        throw new OptionError(
          "invalid-option",
          `${this.#label}: relevantDocs["${id}"] is the string "${ids}"; expected a Set or list of document ids.`,
          { option: "relevantDocs", id, found: ids },
        );
      }
      const relevant = new Set(ids);
      if (relevant.size === 0) continue;
      this.#queryTexts.push(checkText(text, "queries", id));
      this.#relevantDocuments.push(relevant);
    }
    const corpus = entriesOf(options.corpus);
    this.#corpusIds = corpus.map(([id]) => id);
    this.#corpusTexts = corpus.map(([id, text]) => checkText(text, "corpus", id));
    if (corpus.length === 0) {
      throw new OptionError("invalid-option", `${this.#label}: corpus is empty; expected at least one document.`, {
        option: "corpus",
      });
    }
    if (this.#queryTexts.length === 0) {
      throw new OptionError(
        "invalid-option",
        `${this.#label}: none of the ${entriesOf(options.queries).length} queries has a relevant document in relevantDocs (${relevantDocs.size} entries); expected at least one. Are the ids of both the same strings?`,
        { option: "relevantDocs" },
      );
    }
    this.#ranks = rankIds(this.#corpusIds);
  }

  /**
   * For example "gooaq-dev_cosine_ndcg@10": of `mainScoreFunction`, or of the only score function, or of the one with the
   * best NDCG in the first evaluation. Before that it is the first of `scoreFunctions`, or cosine.
   */
  get primaryMetric(): string {
    return `${this.#prefix}${this.#primaryScoreFunction}_ndcg@${Math.max(...this.#cutoffs.ndcgAtK)}`;
  }

  /**
   * @returns The metrics, for example "gooaq-dev_cosine_accuracy@1". Throws OptionError when the encoder gives other than
   *   one finite row a text, DataError when the results file cannot be written.
   */
  async evaluate(encoder: TextEncoder, context: EvaluationContext = {}): Promise<Record<string, number>> {
    // sentence-transformers writes several score functions in the order of their names.
    const scoreFunctions = [...(this.#scoreFunctions ?? [this.#scoreFunctionOf(encoder)])].sort();
    this.#checkMainScoreFunction(scoreFunctions);
    const file =
      context.outputPath !== undefined && this.#writeCsv
        ? new ResultsFile(join(context.outputPath, this.#fileName), this.#csvColumns(scoreFunctions))
        : undefined;
    await file?.prepare();

    const metrics = await this.#measure(encoder, scoreFunctions);
    await file?.append([
      ...formatProgress(context),
      ...scoreFunctions.flatMap((scoreFunction) => this.#csvValues(metrics.get(scoreFunction)!)),
    ]);

    const largest = Math.max(...this.#cutoffs.ndcgAtK);
    const gain = (scoreFunction: SimilarityFunction): number => metrics.get(scoreFunction)!.ndcg.get(largest)!;
    if (!this.#mainScoreFunction && !(this.#hasChosen && scoreFunctions.includes(this.#primaryScoreFunction))) {
      this.#primaryScoreFunction = scoreFunctions.reduce((best, other) => (gain(other) > gain(best) ? other : best));
      this.#hasChosen = true;
    }
    return Object.fromEntries(
      scoreFunctions.flatMap((scoreFunction) =>
        metricOrder.flatMap((metric) =>
          Array.from(metrics.get(scoreFunction)![metric], ([k, value]): [string, number] => [
            `${this.#prefix}${scoreFunction}_${metric}@${k}`,
            value,
          ]),
        ),
      ),
    );
  }

  async #measure(
    encoder: TextEncoder,
    scoreFunctions: readonly SimilarityFunction[],
  ): Promise<Map<SimilarityFunction, RetrievalMetrics>> {
    const largest = Math.max(...Object.values(this.#cutoffs).flat());
    const hits = new Map(
      scoreFunctions.map((scoreFunction) => [
        scoreFunction,
        new TopHits(this.#queryTexts.length, largest, this.#ranks),
      ]),
    );
    const queries = await this.#encode(encoder, this.#queryTexts, "query");
    for (let start = 0; start < this.#corpusTexts.length; start += this.#corpusChunkSize) {
      const texts = this.#corpusTexts.slice(start, start + this.#corpusChunkSize);
      const documents = await this.#encode(encoder, texts, "document");
      for (const [scoreFunction, topHits] of hits) {
        const prepare = scoreFunction === "cosine" ? normalizeEmbeddings : (embeddings: Embeddings) => embeddings;
        await offerScores(prepare(queries), prepare(documents), start, topHits);
      }
    }
    return new Map(
      Array.from(hits, ([scoreFunction, topHits]) => [
        scoreFunction,
        computeRetrievalMetrics(
          this.#relevantDocuments.map((relevant, query) => ({
            hits: Array.from(topHits.best(query), (document) => relevant.has(this.#corpusIds[document]!)),
            relevant: relevant.size,
          })),
          this.#cutoffs,
        ),
      ]),
    );
  }

  #encode(encoder: TextEncoder, texts: readonly string[], kind: string): Promise<Embeddings> {
    return encodeTexts(encoder, texts, {
      evaluator: this.#label,
      kind,
      batchSize: this.#batchSize,
      truncateDim: this.#truncateDim,
    });
  }

  #scoreFunctionOf({ similarityFunction = "cosine" }: TextEncoder): SimilarityFunction {
    if (similarityFunction === "cosine" || similarityFunction === "dot") return similarityFunction;
    throw new OptionError(
      "invalid-option",
      `${this.#label}: the encoder compares by "${similarityFunction}"; expected cosine or dot. Set scoreFunctions to one of them.`,
      { option: "scoreFunctions", found: similarityFunction, expected: scoreFunctionNames },
    );
  }

  #checkMainScoreFunction(scoreFunctions: readonly SimilarityFunction[] | undefined): void {
    if (!this.#mainScoreFunction || !scoreFunctions || scoreFunctions.includes(this.#mainScoreFunction)) return;
    throw new OptionError(
      "invalid-option",
      `${this.#label}: mainScoreFunction is "${this.#mainScoreFunction}", but the documents are scored by ${scoreFunctions.join(", ")}; expected one of them.`,
      { option: "mainScoreFunction", found: this.#mainScoreFunction, expected: scoreFunctions },
    );
  }

  #csvColumns(scoreFunctions: readonly SimilarityFunction[]): string[] {
    const { accuracyAtK, precisionRecallAtK, mrrAtK, ndcgAtK, mapAtK } = this.#cutoffs;
    const columns = scoreFunctions.flatMap((scoreFunction) =>
      [
        ...accuracyAtK.map((k) => `Accuracy@${k}`),
        ...precisionRecallAtK.flatMap((k) => [`Precision@${k}`, `Recall@${k}`]),
        ...mrrAtK.map((k) => `MRR@${k}`),
        ...ndcgAtK.map((k) => `NDCG@${k}`),
        ...mapAtK.map((k) => `MAP@${k}`),
      ].map((column) => `${scoreFunction}-${column}`),
    );
    return ["epoch", "steps", ...columns];
  }

  #csvValues(metrics: RetrievalMetrics): string[] {
    const { accuracyAtK, precisionRecallAtK, mrrAtK, ndcgAtK, mapAtK } = this.#cutoffs;
    const values = [
      ...accuracyAtK.map((k) => metrics.accuracy.get(k)!),
      ...precisionRecallAtK.flatMap((k) => [metrics.precision.get(k)!, metrics.recall.get(k)!]),
      ...mrrAtK.map((k) => metrics.mrr.get(k)!),
      ...ndcgAtK.map((k) => metrics.ndcg.get(k)!),
      ...mapAtK.map((k) => metrics.map.get(k)!),
    ];
    return values.map(formatPythonFloat);
  }

  get #prefix(): string {
    return this.name && `${this.name}_`;
  }

  get #fileName(): string {
    return `Information-Retrieval_evaluation${this.name && `_${this.name}`}_results.csv`;
  }

  get #label(): string {
    return `InformationRetrievalEvaluator${this.name && ` "${this.name}"`}`;
  }
}

/** Scores a chunk of documents tile by tile. */
async function offerScores(
  queries: Embeddings,
  documents: Embeddings,
  firstDocument: number,
  topHits: TopHits,
): Promise<void> {
  const scores = new Float32Array(queryTile * documentTile);
  let breakAt = performance.now() + 50;
  for (let documentStart = 0; documentStart < documents.rows; documentStart += documentTile) {
    const documentEnd = Math.min(documentStart + documentTile, documents.rows);
    const width = documentEnd - documentStart;
    for (let queryStart = 0; queryStart < queries.rows; queryStart += queryTile) {
      const queryEnd = Math.min(queryStart + queryTile, queries.rows);
      writeDotProducts(queries, queryStart, queryEnd, documents, documentStart, documentEnd, scores);
      for (let query = queryStart; query < queryEnd; query++) {
        const start = (query - queryStart) * width;
        topHits.offer(query, scores, start, start + width, firstDocument + documentStart);
      }
    }
    // Timers and Ctrl-C get their turn.
    if (performance.now() < breakAt) continue;
    await new Promise((resolve) => setImmediate(resolve));
    breakAt = performance.now() + 50;
  }
}

/** The place of every id in ascending order of code points, as Python compares strings. */
function rankIds(ids: readonly string[]): Int32Array {
  const order = ids.map((_, index) => index);
  order.sort((left, right) => compareCodePoints(ids[left]!, ids[right]!));
  const ranks = new Int32Array(ids.length);
  for (const [rank, index] of order.entries()) ranks[index] = rank;
  return ranks;
}

function compareCodePoints(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    const [a, b] = [left.charCodeAt(index), right.charCodeAt(index)];
    if (a === b) continue;
    // Surrogates, the halves of code points beyond U+FFFF, stand before U+E000 by their number, but belong behind it.
    const isSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdfff;
    return isSurrogate(a) === isSurrogate(b)
      ? a - b
      : isSurrogate(a)
        ? b >= 0xe000
          ? 1
          : a - b
        : a >= 0xe000
          ? -1
          : a - b;
  }
  return left.length - right.length;
}

function entriesOf<Value>(values: ReadonlyMap<string, Value> | Readonly<Record<string, Value>>): [string, Value][] {
  return values instanceof Map ? [...values] : Object.entries(values);
}

function checkText(text: string, option: string, id: string): string {
  if (typeof text === "string") return text;
  throw new OptionError(
    "invalid-option",
    `InformationRetrievalEvaluator: ${option}["${id}"] is ${text === null ? "null" : typeof text}; expected a string.`,
    { option, id, found: text },
  );
}

function checkCutoffs(cutoffs: readonly number[], option: string): readonly number[] {
  if (cutoffs.length > 0 && cutoffs.every((k) => Number.isInteger(k) && k >= 1)) return [...cutoffs];
  throw new OptionError(
    "invalid-option",
    `InformationRetrievalEvaluator: ${option} is [${cutoffs.join(", ")}]; expected one or more whole numbers from 1.`,
    { option, found: cutoffs },
  );
}
