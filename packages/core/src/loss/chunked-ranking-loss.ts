import { Graph, gradients, multiply, reduceSum, type Value } from "@gradbank/graph";
import type { EncoderPrograms } from "../encoder/encoder-programs.ts";
import { float32Tensor, type Tensor } from "../runtime/tensor.ts";
import { buildRankingRowLosses, similarityVectors } from "./ranking-graph.ts";
import { declareRankingIndices, rankingIndices } from "./ranking-indices.ts";
import type { ResolvedRankingOptions } from "./ranking-options.ts";

/** Loss of a batch of embeddings, and its gradient with respect to them. */
export interface EmbeddingLoss {
  readonly loss: number;
  /** One a column, flat `[rows, dimension]`; empty when no gradient was asked for. */
  readonly gradients: readonly Float32Array[];
}

/**
 * Computes a ranking loss from embeddings in chunks of rows: memory is O(chunk x documents), however large the batch.
 * Each embedding is normalised once, and the gradient goes back through the normalisation once, after all chunks.
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

  /**
   * @param columns embeddings of each column, flat `[rows, dimension]`: queries, positives, negatives.
   * @param chunkSize rows of the loss at a time.
   * @param withGradients compute gradients too.
   */
  async compute(
    columns: readonly Float32Array[],
    rows: number,
    chunkSize: number,
    withGradients: boolean,
  ): Promise<EmbeddingLoss> {
    const dimension = this.#dimension;
    const vectors: Float32Array[] = [];
    for (const column of columns) vectors.push(await this.#normalize(column, rows));
    const documents = concatenate(vectors.slice(1));
    const documentRows = rows * (columns.length - 1);
    const sums = withGradients ? [new Float32Array(rows * dimension), new Float32Array(documents.length)] : [];

    let loss = 0;
    const program = await this.#chunkProgram(withGradients);
    for (let start = 0; start < rows; start += chunkSize) {
      const end = Math.min(start + chunkSize, rows);
      const [from, to] = [start * dimension, end * dimension];
      const outputs = await program.run({
        ...rankingIndices(rows, columns.length - 1, start, end),
        anchors: float32Tensor(vectors[0]!.subarray(from, to), [end - start, dimension]),
        positives: float32Tensor(vectors[1]!.subarray(from, to), [end - start, dimension]),
        queries: float32Tensor(vectors[0]!, [rows, dimension]),
        documents: float32Tensor(documents, [documentRows, dimension]),
        row_weight: float32Tensor(Float32Array.of(1 / rows), []),
      });
      loss += Number(outputs.loss!.data[0]);
      if (!withGradients) continue;
      const [queryGradients, documentGradients] = sums as [Float32Array, Float32Array];
      addInto(queryGradients.subarray(from, to), outputs.anchor_gradients);
      addInto(documentGradients.subarray(from, to), outputs.positive_gradients);
      addInto(queryGradients, outputs.query_gradients);
      addInto(documentGradients, outputs.document_gradients);
    }

    const gradientsOfColumns: Float32Array[] = [];
    for (let column = 0; withGradients && column < columns.length; column++) {
      const gradient =
        column === 0 ? sums[0]! : sums[1]!.subarray((column - 1) * rows * dimension, column * rows * dimension);
      gradientsOfColumns.push(await this.#normalizeBackward(columns[column]!, gradient, rows));
    }
    return { loss, gradients: gradientsOfColumns };
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

  #chunkProgram(withGradients: boolean) {
    return this.#programs.compile(`${this.#key}/chunk${withGradients ? "+gradients" : ""}`, () => {
      const graph = new Graph("ranking_chunk");
      const dimension = this.#dimension;
      const anchors = graph.input("anchors", "float32", ["rows", dimension]);
      const positives = graph.input("positives", "float32", ["rows", dimension]);
      const queries = graph.input("queries", "float32", ["queries", dimension]);
      const documents = graph.input("documents", "float32", ["documents", dimension]);
      const rowLosses = buildRankingRowLosses(this.#options, {
        ...declareRankingIndices(graph, "rows", "documents"),
        querySamples: graph.input("query_samples", "int32", ["queries"]),
        anchors,
        positives,
        queries,
        documents,
      });
      const loss = reduceSum(multiply(rowLosses, graph.input("row_weight", "float32", [])));
      const outputs: Record<string, Value> = { loss };
      if (withGradients) {
        const sources: Record<string, Value> = {
          anchor_gradients: anchors,
          positive_gradients: positives,
          document_gradients: documents,
        };
        if (this.#options.directions.some((direction) => direction.endsWith("to_query")))
          sources.query_gradients = queries;
        const results = gradients([{ of: loss }], Object.values(sources));
        Object.keys(sources).forEach((name, index) => {
          outputs[name] = results[index]!;
        });
      }
      return { graph, outputs };
    });
  }
}

function concatenate(arrays: readonly Float32Array[]): Float32Array {
  if (arrays.length === 1) return arrays[0]!;
  const all = new Float32Array(arrays.reduce((sum, array) => sum + array.length, 0));
  let offset = 0;
  for (const array of arrays) {
    all.set(array, offset);
    offset += array.length;
  }
  return all;
}

function addInto(sum: Float32Array, tensor: Tensor | undefined): void {
  if (!tensor) return;
  const values = tensor.data as Float32Array;
  for (let index = 0; index < sum.length; index++) sum[index]! += values[index]!;
}
