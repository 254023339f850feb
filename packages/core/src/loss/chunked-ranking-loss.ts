import { Graph, gradients, multiply, reduceSum, type Value } from "@gradbank/graph";
import type { EncoderPrograms } from "../encoder/encoder-programs.ts";
import type { Program } from "../runtime/runtime.ts";
import { addInto, float32Tensor, type Tensor } from "../runtime/tensor.ts";
import type { BankView } from "./bank-reader.ts";
import { type CandidateLayout, candidateInputs, declareCandidates, sampleNumbers } from "./candidates.ts";
import { declareRows, type RowValues, rowInputs } from "./loss-rows.ts";
import {
  buildRankingRows,
  type CandidateBlock,
  type Candidates,
  type RankingRows,
  similarityVectors,
} from "./ranking-graph.ts";
import type { ResolvedRankingOptions } from "./ranking-options.ts";

/** Loss of a batch of embeddings, and its gradient with respect to them. */
export interface EmbeddingLoss {
  readonly loss: number;
  /** One a column, flat `[rows, dimension]`; empty when no gradient was asked for. */
  readonly gradients: readonly Float32Array[];
  /** What similarities are taken of: the embeddings, normalised for cosine similarity. */
  readonly vectors: readonly Float32Array[];
  /** Documents that score higher than a row's positive, on average over the batch; with a bank only. */
  readonly positiveRank: number | undefined;
}

export interface EmbeddingLossOptions {
  /** Rows of the batch that are scored at once. */
  readonly chunkSize: number;
  readonly withGradients: boolean;
  /** Cached rows that take part. */
  readonly bank?: BankView | undefined;
}

const batchPrefix = "batch/";
const cachedPrefix = "cached/";

/**
 * Computes a ranking loss from embeddings in chunks of rows: memory is O(chunk x documents), however large the batch and
 * the bank. Each embedding is normalised once, the gradient goes back through the normalisation once, after all chunks,
 * and the bank is read where it lies.
 */
export class ChunkedRankingLoss {
  readonly #programs: EncoderPrograms;
  readonly #options: ResolvedRankingOptions;
  readonly #key: string;
  readonly #dimension: number;

  constructor(programs: EncoderPrograms, options: ResolvedRankingOptions, dimension: number) {
    this.#programs = programs;
    this.#options = options;
    this.#dimension = dimension;
    this.#key = `ranking/${dimension}/${JSON.stringify(options)}`;
  }

  /** @param columns embeddings of each column, flat `[rows, dimension]`: queries, positives, negatives. */
  async compute(columns: readonly Float32Array[], rows: number, options: EmbeddingLossOptions): Promise<EmbeddingLoss> {
    const { bank, withGradients } = options;
    const vectors: Float32Array[] = [];
    for (const column of columns) vectors.push(await this.#normalize(column, rows));
    const sums = withGradients ? columns.map((column) => new Float32Array(column.length)) : [];
    const samples = sampleNumbers(bank?.firstSample ?? 0, rows);
    const batch = candidateInputs(
      batchPrefix,
      { rows, vectors, samples, texts: bank?.batchTexts?.candidates },
      this.#dimension,
    );
    const own = await this.#scoreBatchRows(batch, { vectors, rows, samples }, sums, options);
    let { loss } = own;
    if (bank?.partitions) loss += await this.#scoreCachedRows(batch, bank, rows, sums, options);

    const results: Float32Array[] = [];
    for (const [column, sum] of sums.entries())
      results.push(await this.#normalizeBackward(columns[column]!, sum, rows));
    return { loss, gradients: results, vectors, positiveRank: bank && own.ranks / rows };
  }

  /** The batch's own rows, against the batch and the bank. */
  async #scoreBatchRows(
    batch: Readonly<Record<string, Tensor>>,
    own: { vectors: readonly Float32Array[]; rows: number; samples: Int32Array },
    sums: readonly Float32Array[],
    { chunkSize, withGradients, bank }: EmbeddingLossOptions,
  ): Promise<{ loss: number; ranks: number }> {
    const { vectors, rows, samples } = own;
    const columns = vectors.length;
    const program = await this.#program("batch-rows", columns, withGradients, bank);
    const cached = bank ? candidateInputs(cachedPrefix, bank.cached, this.#dimension) : {};
    const weight = bank?.rowWeight ?? 1 / rows;
    let [loss, ranks] = [0, 0];
    for (let start = 0; start < rows; start += chunkSize) {
      const end = Math.min(start + chunkSize, rows);
      const outputs = await program.run({
        ...batch,
        ...cached,
        ...this.#rowInputs(vectors, samples, bank?.batchTexts?.rows, start, end),
        row_weights: float32Tensor(new Float32Array(end - start).fill(weight), [end - start]),
      });
      loss += Number(outputs.loss!.data[0]);
      if (outputs.positive_ranks) for (const rank of outputs.positive_ranks.data as Float32Array) ranks += rank;
      if (!withGradients) continue;
      const [from, to] = [start * this.#dimension, end * this.#dimension];
      addInto(sums[0]!.subarray(from, to), outputs.anchor_gradients!.data as Float32Array);
      addInto(sums[1]!.subarray(from, to), outputs.positive_gradients!.data as Float32Array);
      addCandidateGradients(sums, outputs);
    }
    return { loss, ranks };
  }

  /** Cached queries as rows: their gradient goes to the batch's candidates, which is what makes the bank dual. */
  async #scoreCachedRows(
    batch: Readonly<Record<string, Tensor>>,
    bank: BankView,
    rows: number,
    sums: readonly Float32Array[],
    { chunkSize, withGradients }: EmbeddingLossOptions,
  ): Promise<number> {
    const { cached, partitions } = bank;
    const program = await this.#program("cached-rows", cached.vectors.length, withGradients, bank);
    // As many scores at once as a chunk of the batch's rows has: each cached row has fewer of them.
    const atOnce = Math.max(1, Math.floor((chunkSize * (rows + cached.rows)) / (rows + partitions!.blocks)));
    let loss = 0;
    for (let start = 0; start < cached.rows; start += atOnce) {
      const end = Math.min(start + atOnce, cached.rows);
      const known = this.#options.directions.map((_, direction) => [
        `known${direction}`,
        float32Tensor(partitions!.rows(direction, start, end), [end - start, partitions!.blocks]),
      ]);
      const weights = Float32Array.from(cached.samples.subarray(start, end), (sample) =>
        sample < 0 ? 0 : bank.rowWeight,
      );
      const outputs = await program.run({
        ...batch,
        ...this.#rowInputs(cached.vectors, cached.samples, bank.cachedRowTexts, start, end),
        ...Object.fromEntries(known),
        row_weights: float32Tensor(weights, [end - start]),
      });
      loss += Number(outputs.loss!.data[0]);
      if (withGradients) addCandidateGradients(sums, outputs);
    }
    return loss;
  }

  #rowInputs(
    vectors: readonly Float32Array[],
    samples: Int32Array,
    texts: readonly Int32Array[] | undefined,
    start: number,
    end: number,
  ): Record<string, Tensor> {
    const part = (column: Float32Array) => column.subarray(start * this.#dimension, end * this.#dimension);
    const values: RowValues = {
      anchors: part(vectors[0]!),
      positives: part(vectors[1]!),
      samples: samples.subarray(start, end),
      texts: texts?.map((names) => names.subarray(start, end)),
    };
    return rowInputs(values, this.#dimension);
  }

  #program(
    rows: "batch-rows" | "cached-rows",
    columns: number,
    withGradients: boolean,
    bank: BankView | undefined,
  ): Promise<Program> {
    const texts = bank?.batchTexts !== undefined;
    const gaps = bank?.hasGaps ?? false;
    const key = `${this.#key}/${rows}/${columns}/${withGradients}/${bank !== undefined}/${texts}/${gaps}`;
    return this.#programs.compile(key, () => {
      const graph = new Graph(rows.replace("-", "_"));
      const dimension = this.#dimension;
      const layout: CandidateLayout = {
        prefix: batchPrefix,
        rows: "samples",
        documentColumns: columns - 1,
        texts,
        gaps: false,
      };
      const candidates = declareCandidates(graph, layout, dimension);
      const lossRows: RankingRows = {
        ...declareRows(graph, dimension, texts),
        ...(rows === "cached-rows"
          ? {
              knownPartitions: this.#options.directions.map((_, direction) =>
                graph.input(`known${direction}`, "float32", ["rows", "blocks"]),
              ),
            }
          : {}),
      };
      // A batch's candidates are no duplicates of its own rows: the sampler saw to that, and without a bank nobody looks.
      const own = rows === "batch-rows" ? withoutTexts(candidates) : candidates;
      const sources = [own];
      if (bank && rows === "batch-rows")
        sources.push(declareCandidates(graph, { ...layout, prefix: cachedPrefix, rows: "cached", gaps }, dimension));
      const { losses, positiveRanks } = buildRankingRows(this.#options, lossRows, sources);
      const loss = reduceSum(multiply(losses, graph.input("row_weights", "float32", ["rows"])));
      const outputs: Record<string, Value> = { loss };
      if (bank && rows === "batch-rows") outputs.positive_ranks = positiveRanks;
      if (withGradients) {
        const wanted: [string, Value][] = candidates.documents.map((block, column) => [
          `column${column + 1}_gradients`,
          block.vectors,
        ]);
        if (this.#options.directions.some((direction) => direction.endsWith("to_query")))
          wanted.push(["column0_gradients", candidates.queries.vectors]);
        if (rows === "batch-rows")
          wanted.push(["anchor_gradients", lossRows.anchors], ["positive_gradients", lossRows.positives]);
        const results = gradients(
          [{ of: loss }],
          wanted.map(([, value]) => value),
        );
        wanted.forEach(([name], index) => {
          outputs[name] = results[index]!;
        });
      }
      return { graph, outputs };
    });
  }

  async #normalize(embeddings: Float32Array, rows: number): Promise<Float32Array> {
    if (this.#options.similarityFunction !== "cos_sim") return embeddings;
    const program = await this.#programs.compile(`${this.#key}/normalize`, () => {
      const graph = new Graph("normalize");
      const x = graph.input("embeddings", "float32", ["rows", this.#dimension]);
      return { graph, outputs: { vectors: similarityVectors(this.#options, x) } };
    });
    const { vectors } = await program.run({ embeddings: float32Tensor(embeddings, [rows, this.#dimension]) });
    return vectors!.data as Float32Array;
  }

  async #normalizeBackward(embeddings: Float32Array, gradient: Float32Array, rows: number): Promise<Float32Array> {
    if (this.#options.similarityFunction !== "cos_sim") return gradient;
    const program = await this.#programs.compile(`${this.#key}/normalize_backward`, () => {
      const graph = new Graph("normalize_backward");
      const x = graph.input("embeddings", "float32", ["rows", this.#dimension]);
      const arriving = graph.input("vector_gradients", "float32", ["rows", this.#dimension]);
      const [result] = gradients([{ of: similarityVectors(this.#options, x), gradient: arriving }], [x]);
      return { graph, outputs: { embedding_gradients: result! } };
    });
    const outputs = await program.run({
      embeddings: float32Tensor(embeddings, [rows, this.#dimension]),
      vector_gradients: float32Tensor(gradient, [rows, this.#dimension]),
    });
    return outputs.embedding_gradients!.data as Float32Array;
  }
}

function withoutTexts(candidates: Candidates): Candidates {
  const strip = ({ texts: _, ...block }: CandidateBlock): CandidateBlock => block;
  return { queries: strip(candidates.queries), documents: candidates.documents.map(strip) };
}

function addCandidateGradients(sums: readonly Float32Array[], outputs: Readonly<Record<string, Tensor>>): void {
  for (const [column, sum] of sums.entries()) {
    const gradient = outputs[`column${column}_gradients`];
    if (gradient) addInto(sum, gradient.data as Float32Array);
  }
}
