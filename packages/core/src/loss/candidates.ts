import type { Dimension, Graph } from "@gradbank/graph";
import { float32Tensor, int32Tensor, type Tensor } from "../runtime/tensor.ts";
import type { Candidates } from "./ranking-graph.ts";

/** What candidates of one source a program takes. */
export interface CandidateLayout {
  /** Beginning of the inputs' names. */
  readonly prefix: string;
  /** Rows of each column: a symbol. */
  readonly rows: Dimension;
  /** Columns of documents: positives and negatives. */
  readonly documentColumns: number;
  /** Names of texts are given, so that duplicates are taken out. */
  readonly texts: boolean;
  /** Some slots are empty. */
  readonly gaps: boolean;
}

/** Values of a source's candidates. */
export interface CandidateValues {
  readonly rows: number;
  /** Queries, positives, negatives: `[rows, d]` each, flat. */
  readonly vectors: readonly Float32Array[];
  /** Sample of each row; negative for empty slots. */
  readonly samples: Int32Array;
  /** Names of the texts of each column. */
  readonly texts?: readonly Int32Array[] | undefined;
}

/**
 * Declares the inputs of a source: `<prefix>samples`, `<prefix>column<c>` and, with texts, `<prefix>texts<c>`; column 0
 * holds the queries.
 */
export function declareCandidates(graph: Graph, layout: CandidateLayout, dimension: number): Candidates {
  const { prefix, rows, texts, gaps } = layout;
  const samples = graph.input(`${prefix}samples`, "int32", [rows]);
  const [queries, ...documents] = Array.from({ length: layout.documentColumns + 1 }, (_, column) => ({
    vectors: graph.input(`${prefix}column${column}`, "float32", [rows, dimension]),
    samples,
    hasGaps: gaps,
    ...(texts ? { texts: graph.input(`${prefix}texts${column}`, "int32", [rows]) } : {}),
  }));
  return { queries: queries!, documents };
}

/** Values of `declareCandidates`' inputs. */
export function candidateInputs(prefix: string, values: CandidateValues, dimension: number): Record<string, Tensor> {
  const { rows, vectors, samples, texts } = values;
  return {
    [`${prefix}samples`]: int32Tensor(samples, [rows]),
    ...Object.fromEntries(
      vectors.map((column, index) => [`${prefix}column${index}`, float32Tensor(column, [rows, dimension])]),
    ),
    ...Object.fromEntries(
      (texts ?? []).map((column, index) => [`${prefix}texts${index}`, int32Tensor(column, [rows])]),
    ),
  };
}

/** The sample numbers `first`, `first` + 1, ... */
export function sampleNumbers(first: number, rows: number): Int32Array {
  return Int32Array.from({ length: rows }, (_, row) => first + row);
}
