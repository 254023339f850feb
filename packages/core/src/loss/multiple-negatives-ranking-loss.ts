import { concat, Graph, gradients, multiply, reduceSum, type Value } from "@gradbank/graph";
import { buildColumn, buildParameterGradients, type EncoderModules } from "../encoder/encoder-graph.ts";
import type { SentenceEncoder } from "../encoder/sentence-encoder.ts";
import { float32Tensor, type Tensor } from "../runtime/tensor.ts";
import { checkBatch } from "./batch-check.ts";
import type { Batch, ForwardBackwardOptions, Loss } from "./loss.ts";
import { rankingConfiguration } from "./ranking-configuration.ts";
import { buildRankingRowLosses, similarityVectors } from "./ranking-graph.ts";
import { declareRankingIndices, rankingIndices } from "./ranking-indices.ts";
import { type RankingLossOptions, type ResolvedRankingOptions, resolveRankingOptions } from "./ranking-options.ts";

/**
 * Multiple negatives ranking (InfoNCE with in-batch negatives; Henderson et al., arXiv 1705.00652): each query is to
 * score its own document above all other documents of the batch.
 *
 * The whole step is one program: every column's forward pass, the loss and the backward pass. Its memory grows with
 * the batch; CachedMultipleNegativesRankingLoss gives the same gradients in constant memory for a second forward pass.
 */
export class MultipleNegativesRankingLoss implements Loss {
  readonly name = "MultipleNegativesRankingLoss";
  readonly options: ResolvedRankingOptions;

  /** @throws OptionError "invalid-option". */
  constructor(options: RankingLossOptions = {}) {
    this.options = resolveRankingOptions(options);
  }

  get configuration(): Readonly<Record<string, unknown>> {
    return rankingConfiguration(this.options);
  }

  async forwardBackward(encoder: SentenceEncoder, batch: Batch, options: ForwardBackwardOptions = {}): Promise<number> {
    checkBatch(this.name, batch);
    const { gradientScale = 1, dropout, observer } = options;
    const columns = batch.columns.length;
    const program = await encoder.programs.compile(
      `${this.name}/${columns}${dropout ? "+dropout" : ""}/${JSON.stringify(this.options)}`,
      () => buildStep(encoder.programs.modules, this.options, columns, dropout !== undefined),
    );
    const inputs = this.#inputs(encoder, batch, options);
    const outputs = await program.run({
      ...encoder.parameters.tensors,
      ...inputs,
      gradient_scale: float32Tensor(Float32Array.of(gradientScale), []),
    });
    encoder.programs.accumulateGradients(
      outputs,
      batch.columns.map((_, column) => ({ prefix: prefix(column), inputIds: inputs[`${prefix(column)}input_ids`]! })),
    );
    for (let column = 0; column < columns; column++) {
      observer?.onEmbeddings?.(column, outputs[`${prefix(column)}embeddings`]!.data as Float32Array);
      observer?.onEmbeddingGradients?.(column, outputs[`${prefix(column)}embedding_gradients`]!.data as Float32Array);
    }
    return Number(outputs.loss!.data[0]);
  }

  async evaluate(encoder: SentenceEncoder, batch: Batch): Promise<number> {
    checkBatch(this.name, batch);
    const columns = batch.columns.length;
    const program = await encoder.programs.compile(
      `${this.name}/evaluate/${columns}/${JSON.stringify(this.options)}`,
      () => {
        const graph = new Graph("multiple_negatives_ranking_evaluation");
        return {
          graph,
          outputs: { loss: buildLoss(graph, encoder.programs.modules, this.options, columns, false).loss },
        };
      },
    );
    const outputs = await program.run({ ...encoder.parameters.tensors, ...this.#inputs(encoder, batch, {}) });
    return Number(outputs.loss!.data[0]);
  }

  #inputs(encoder: SentenceEncoder, batch: Batch, { dropout }: ForwardBackwardOptions): Record<string, Tensor> {
    const rows = Int32Array.from(batch.columns[0]!.keys());
    return Object.assign(
      rankingIndices(rows.length, batch.columns.length - 1),
      { row_weight: float32Tensor(Float32Array.of(1 / rows.length), []) },
      ...batch.columns.map((sequences, column) =>
        encoder.programs.columnInputs(prefix(column), { sequences, rows, column, dropout }),
      ),
    );
  }
}

const prefix = (column: number) => `column${column}/`;

function buildStep(modules: EncoderModules, options: ResolvedRankingOptions, columns: number, dropout: boolean) {
  const graph = new Graph("multiple_negatives_ranking");
  const { loss, encoded } = buildLoss(graph, modules, options, columns, dropout);
  const embeddings = encoded.map((column) => column.embeddings);
  const embeddingGradients = gradients([{ of: loss }], embeddings);
  const scale = graph.input("gradient_scale", "float32", []);
  const outputs: Record<string, Value> = {
    loss,
    ...buildParameterGradients(
      graph,
      modules,
      embeddings.map((of, column) => ({ of, gradient: multiply(embeddingGradients[column]!, scale) })),
      encoded.map(({ wordVectors }, column) => ({ prefix: prefix(column), wordVectors })),
    ),
  };
  embeddings.forEach((value, column) => {
    outputs[`${prefix(column)}embeddings`] = value;
    outputs[`${prefix(column)}embedding_gradients`] = embeddingGradients[column]!;
  });
  return { graph, outputs };
}

function buildLoss(
  graph: Graph,
  modules: EncoderModules,
  options: ResolvedRankingOptions,
  columns: number,
  dropout: boolean,
) {
  const encoded = Array.from({ length: columns }, (_, column) =>
    buildColumn(graph, modules, { prefix: prefix(column), dropout }),
  );
  const loss = graph.scope("loss", () => {
    const vectors = encoded.map(({ embeddings }) => similarityVectors(options, embeddings));
    const [queries, ...documents] = vectors as [Value, Value, ...Value[]];
    const indices = declareRankingIndices(graph, "rows", `${documents.length}*rows`);
    const rowLosses = buildRankingRowLosses(options, {
      ...indices,
      anchors: queries,
      positives: documents[0]!,
      queries,
      querySamples: indices.rowSamples,
      documents: concat(documents as [Value, ...Value[]], 0),
    });
    return reduceSum(multiply(rowLosses, graph.input("row_weight", "float32", [])));
  });
  return { loss, encoded };
}
