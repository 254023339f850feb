import type { Graph } from "@gradbank/graph";
import { float32Tensor, int32Tensor, type Tensor } from "../runtime/tensor.ts";
import type { RankingRows } from "./ranking-graph.ts";

/** Values of some rows of a ranking loss. */
export interface RowValues {
  /** Queries of these rows, `[rows, d]`, flat. */
  readonly anchors: Float32Array;
  /** Their positives, `[rows, d]`, flat. */
  readonly positives: Float32Array;
  /** Sample of each row; negative for empty slots. */
  readonly samples: Int32Array;
  /** Names of the anchors' and of the positives' texts. */
  readonly texts?: readonly Int32Array[] | undefined;
}

/**
 * Declares a program's inputs for the rows that it scores: `anchors`, `positives`, `row_samples` and, with texts,
 * `anchor_texts` and `positive_texts`.
 */
export function declareRows(graph: Graph, dimension: number, texts: boolean): RankingRows {
  const vector = (name: string) => graph.input(name, "float32", ["rows", dimension]);
  const number = (name: string) => graph.input(name, "int32", ["rows"]);
  return {
    anchors: vector("anchors"),
    positives: vector("positives"),
    samples: number("row_samples"),
    ...(texts ? { texts: { anchors: number("anchor_texts"), positives: number("positive_texts") } } : {}),
  };
}

/** Values of `declareRows`' inputs. */
export function rowInputs(values: RowValues, dimension: number): Record<string, Tensor> {
  const { anchors, positives, samples, texts } = values;
  const rows = samples.length;
  return {
    anchors: float32Tensor(anchors, [rows, dimension]),
    positives: float32Tensor(positives, [rows, dimension]),
    row_samples: int32Tensor(samples, [rows]),
    ...(texts ? { anchor_texts: int32Tensor(texts[0]!, [rows]), positive_texts: int32Tensor(texts[1]!, [rows]) } : {}),
  };
}
