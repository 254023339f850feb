import { add, Graph, gradients, multiply, reduceSum, type Value } from "@gradbank/graph";
import { type BankDrift, BankDriftProbe } from "../bank/bank-drift.ts";
import type { EmbeddingBank } from "../bank/embedding-bank.ts";
import { sequenceKeys } from "../bank/sequence-key.ts";
import { buildColumn, buildParameterGradients, type EncoderModules } from "../encoder/encoder-graph.ts";
import type { SentenceEncoder } from "../encoder/sentence-encoder.ts";
import { float32Tensor, int32Tensor, type Tensor } from "../runtime/tensor.ts";
import { BankReader, type BankView } from "./bank-reader.ts";
import { checkBatch } from "./batch-check.ts";
import { candidateInputs, declareCandidates, sampleNumbers } from "./candidates.ts";
import { describeStep } from "./diagnostics.ts";
import type { Batch, ForwardBackwardOptions, Loss } from "./loss.ts";
import { rankingConfiguration } from "./ranking-configuration.ts";
import { buildRankingRows, type Candidates, type RankingRows, similarityVectors } from "./ranking-graph.ts";
import { type RankingLossOptions, type ResolvedRankingOptions, resolveRankingOptions } from "./ranking-options.ts";
import { computeRankingScores } from "./ranking-scores.ts";

/**
 * Multiple negatives ranking (InfoNCE with in-batch negatives; Henderson et al., arXiv 1705.00652): each query is to
 * score its own document above all other documents of the batch and, with a bank, of earlier batches.
 *
 * The whole step is one program: every column's forward pass, the loss and the backward pass. Its memory grows with
 * the batch; CachedMultipleNegativesRankingLoss gives the same gradients in constant memory for a second forward pass. A
 * bank on this loss is the paper's ContAccum: many negatives for one forward pass.
 */
export class MultipleNegativesRankingLoss implements Loss {
  readonly name = "MultipleNegativesRankingLoss";
  readonly options: ResolvedRankingOptions;
  readonly banks: readonly EmbeddingBank[];
  readonly #reader: BankReader | undefined;
  readonly #drift: BankDriftProbe | undefined;

  /** @throws OptionError "invalid-option". */
  constructor(options: RankingLossOptions = {}) {
    this.options = resolveRankingOptions(options);
    this.banks = options.bank ? [options.bank] : [];
    this.#reader = options.bank && new BankReader(options.bank, this.options);
    this.#drift = options.bank && new BankDriftProbe(options.bank);
  }

  get configuration(): Readonly<Record<string, unknown>> {
    return rankingConfiguration(this.options, this.banks[0]);
  }

  async forwardBackward(encoder: SentenceEncoder, batch: Batch, options: ForwardBackwardOptions = {}): Promise<number> {
    const rows = checkBatch(this.name, batch);
    const { gradientScale = 1, dropout, observer } = options;
    const { modules } = encoder.programs;
    const columns = batch.columns.length;
    const keys = this.#reader ? batch.columns.map(sequenceKeys) : [];
    const bank = await this.#reader?.view(encoder.programs, keys, encoder.dimension);
    const variant: StepVariant = {
      columns,
      dropout: dropout !== undefined,
      bank: bank && {
        rowsToo: bank.partitions !== undefined,
        texts: bank.batchTexts !== undefined,
        gaps: bank.hasGaps,
      },
    };
    const program = await encoder.programs.compile(
      `${this.name}/${JSON.stringify(variant)}/${JSON.stringify(this.options)}`,
      () => buildStep(modules, this.options, variant),
    );
    const inputs = this.#inputs(encoder, batch, options, bank);
    const outputs = await program.run({
      ...encoder.parameters.tensors,
      ...inputs,
      gradient_scale: float32Tensor(Float32Array.of(gradientScale), []),
    });
    encoder.programs.accumulateGradients(
      outputs,
      batch.columns.map((_, column) => ({ prefix: prefix(column), tokenIds: inputs[`${prefix(column)}token_ids`]! })),
    );
    const perColumn = (name: string) =>
      batch.columns.map((_, column) => outputs[`${prefix(column)}${name}`]!.data as Float32Array);
    const embeddingGradients = perColumn("embedding_gradients");
    const vectors = perColumn("vectors");
    for (const [column, embeddings] of perColumn("embeddings").entries()) observer?.onEmbeddings?.(column, embeddings);
    observer?.onScores?.(await computeRankingScores(encoder.programs, this.options, { vectors, rows, bank }));
    for (const [column, gradient] of embeddingGradients.entries()) observer?.onEmbeddingGradients?.(column, gradient);
    const ranks = outputs.positive_ranks?.data as Float32Array | undefined;
    const positiveRank = ranks && ranks.reduce((sum, rank) => sum + rank, 0) / rows;
    observer?.onDiagnostics?.(describeStep(embeddingGradients, bank, positiveRank));
    this.banks[0]?.push({ rows, embeddings: vectors, keys });
    this.#drift?.remember(batch.columns[1]!, keys[1]!);
    return Number(outputs.loss!.data[0]);
  }

  onOptimizerStep(): void {
    for (const bank of this.banks) bank.onOptimizerStep();
  }

  async measureBankDrift(encoder: SentenceEncoder): Promise<BankDrift | undefined> {
    return this.#drift?.measure(encoder);
  }

  async evaluate(encoder: SentenceEncoder, batch: Batch): Promise<number> {
    checkBatch(this.name, batch);
    const variant: StepVariant = { columns: batch.columns.length, dropout: false, bank: undefined };
    const program = await encoder.programs.compile(
      `${this.name}/evaluate/${JSON.stringify(variant)}/${JSON.stringify(this.options)}`,
      () => {
        const graph = new Graph("multiple_negatives_ranking_evaluation");
        return { graph, outputs: { loss: buildLoss(graph, encoder.programs.modules, this.options, variant).loss } };
      },
    );
    const outputs = await program.run({
      ...encoder.parameters.tensors,
      ...this.#inputs(encoder, batch, {}, undefined),
    });
    return Number(outputs.loss!.data[0]);
  }

  #inputs(
    encoder: SentenceEncoder,
    batch: Batch,
    { dropout }: ForwardBackwardOptions,
    bank: BankView | undefined,
  ): Record<string, Tensor> {
    const rows = Int32Array.from(batch.columns[0]!.keys());
    const numbers = (values: Int32Array) => int32Tensor(values, [values.length]);
    const weights = (values: Float32Array) => float32Tensor(values, [values.length]);
    const inputs: Record<string, Tensor> = Object.assign(
      {
        batch_samples: numbers(sampleNumbers(bank?.firstSample ?? 0, rows.length)),
        row_weights: weights(new Float32Array(rows.length).fill(bank?.rowWeight ?? 1 / rows.length)),
      },
      ...batch.columns.map((sequences, column) =>
        encoder.programs.columnInputs(prefix(column), { sequences, rows, column, dropout }),
      ),
    );
    if (!bank) return inputs;
    Object.assign(inputs, candidateInputs(cachedPrefix, bank.cached, encoder.dimension));
    if (bank.batchTexts) {
      bank.batchTexts.candidates.forEach((names, column) => {
        inputs[`batch_texts${column}`] = numbers(names);
      });
      inputs.anchor_texts = numbers(bank.batchTexts.rows[0]!);
      inputs.positive_texts = numbers(bank.batchTexts.rows[1]!);
      inputs.cached_anchor_texts = numbers(bank.cachedRowTexts![0]!);
      inputs.cached_positive_texts = numbers(bank.cachedRowTexts![1]!);
    }
    const { partitions, cached } = bank;
    if (partitions) {
      this.options.directions.forEach((_, direction) => {
        const known = partitions.rows(direction, 0, cached.rows);
        inputs[`known${direction}`] = float32Tensor(known, [cached.rows, partitions.blocks]);
      });
      inputs.cached_row_weights = weights(
        Float32Array.from(cached.samples, (sample) => (sample < 0 ? 0 : bank.rowWeight)),
      );
    }
    return inputs;
  }
}

const prefix = (column: number) => `column${column}/`;
const cachedPrefix = "cached/";

/** What distinguishes the programs of one loss. */
interface StepVariant {
  readonly columns: number;
  readonly dropout: boolean;
  readonly bank: { readonly rowsToo: boolean; readonly texts: boolean; readonly gaps: boolean } | undefined;
}

function buildStep(modules: EncoderModules, options: ResolvedRankingOptions, variant: StepVariant) {
  const graph = new Graph("multiple_negatives_ranking");
  const { loss, encoded, vectors, positiveRanks } = buildLoss(graph, modules, options, variant);
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
    outputs[`${prefix(column)}vectors`] = vectors[column]!;
  });
  if (variant.bank) outputs.positive_ranks = positiveRanks;
  return { graph, outputs };
}

function buildLoss(graph: Graph, modules: EncoderModules, options: ResolvedRankingOptions, variant: StepVariant) {
  const { columns, dropout, bank } = variant;
  const encoded = Array.from({ length: columns }, (_, column) =>
    buildColumn(graph, modules, { prefix: prefix(column), dropout }),
  );
  return graph.scope("loss", () => {
    const vectors = encoded.map(({ embeddings }) => similarityVectors(options, embeddings));
    const number = (name: string, rows: string) => graph.input(name, "int32", [rows]);
    const weights = (name: string, rows: string) => graph.input(name, "float32", [rows]);
    const samples = number("batch_samples", "rows");
    const rows: RankingRows = {
      anchors: vectors[0]!,
      positives: vectors[1]!,
      samples,
      ...(bank?.texts
        ? { texts: { anchors: number("anchor_texts", "rows"), positives: number("positive_texts", "rows") } }
        : {}),
    };
    // A batch's candidates are no duplicates of its own rows: the sampler sees to that.
    const batch: Candidates = asCandidates(vectors, samples);
    const cached =
      bank &&
      declareCandidates(
        graph,
        { prefix: cachedPrefix, rows: "cached", documentColumns: columns - 1, texts: bank.texts, gaps: bank.gaps },
        modules.architecture.hiddenSize,
      );
    const own = buildRankingRows(options, rows, cached ? [batch, cached] : [batch]);
    let loss = reduceSum(multiply(own.losses, weights("row_weights", "rows")));
    if (cached && bank.rowsToo) {
      const cachedRows: RankingRows = {
        anchors: cached.queries.vectors,
        positives: cached.documents[0]!.vectors,
        samples: cached.queries.samples,
        ...(bank.texts
          ? {
              texts: {
                anchors: number("cached_anchor_texts", "cached"),
                positives: number("cached_positive_texts", "cached"),
              },
            }
          : {}),
        knownPartitions: options.directions.map((_, direction) =>
          graph.input(`known${direction}`, "float32", ["cached", "blocks"]),
        ),
      };
      const texts = bank.texts ? vectors.map((_, column) => number(`batch_texts${column}`, "rows")) : undefined;
      const { losses } = graph.scope("cached_rows", () =>
        buildRankingRows(options, cachedRows, [asCandidates(vectors, samples, texts)]),
      );
      loss = add(loss, reduceSum(multiply(losses, weights("cached_row_weights", "cached"))));
    }
    return { loss, encoded, vectors, positiveRanks: own.positiveRanks };
  });
}

function asCandidates(vectors: readonly Value[], samples: Value, texts?: readonly Value[]): Candidates {
  const [queries, ...documents] = vectors.map((column, index) => ({
    vectors: column,
    samples,
    ...(texts ? { texts: texts[index]! } : {}),
  }));
  return { queries: queries!, documents };
}
