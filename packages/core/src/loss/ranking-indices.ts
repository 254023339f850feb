import type { Dimension, Graph } from "@gradbank/graph";
import { int32Tensor, type Tensor } from "../runtime/tensor.ts";

/** Declares the int32 inputs that say which sample and column rows and documents belong to. */
export function declareRankingIndices(graph: Graph, rows: Dimension, documents: Dimension) {
  return {
    rowSamples: graph.input("row_samples", "int32", [rows]),
    documentSamples: graph.input("document_samples", "int32", [documents]),
    documentColumns: graph.input("document_columns", "int32", [documents]),
  };
}

/**
 * Values of `declareRankingIndices`' inputs for a batch whose documents stand column after column.
 * @param documentColumns number of columns that hold documents.
 * @param start first row of the loss. Default 0. @param end row after the last. Default `samples`.
 */
export function rankingIndices(
  samples: number,
  documentColumns: number,
  start = 0,
  end = samples,
): Record<string, Tensor> {
  const documents = samples * documentColumns;
  return {
    row_samples: int32Tensor(
      Int32Array.from({ length: end - start }, (_, row) => start + row),
      [end - start],
    ),
    query_samples: int32Tensor(
      Int32Array.from({ length: samples }, (_, row) => row),
      [samples],
    ),
    document_samples: int32Tensor(
      Int32Array.from({ length: documents }, (_, row) => row % samples),
      [documents],
    ),
    document_columns: int32Tensor(
      Int32Array.from({ length: documents }, (_, row) => Math.floor(row / samples)),
      [documents],
    ),
  };
}
