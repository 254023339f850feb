import { Graph, type Value } from "@gradbank/graph";
import type { EncoderPrograms } from "../encoder/encoder-programs.ts";
import type { BankView } from "./bank-reader.ts";
import { type CandidateValues, candidateInputs, declareCandidates, sampleNumbers } from "./candidates.ts";
import { declareRows, rowInputs } from "./loss-rows.ts";
import { buildLogits, outOfSoftmax } from "./ranking-graph.ts";
import { type RankingDirection, type ResolvedRankingOptions, rankingDirections } from "./ranking-options.ts";
import { nameSharedTexts } from "./text-names.ts";

/** The logits of one softmax. */
export interface RankingScoresPart {
  /** `joint`, or the direction where each has a softmax of its own. */
  readonly name: "joint" | RankingDirection;
  /** Rows of the loss: the batch's, then cached queries from the oldest to the newest where they are rows. */
  readonly rows: number;
  /**
   * Directions in the order of `rankingDirections`; within one, column by column, the batch's rows and then the cached
   * ones from the oldest to the newest. sentence-transformers and its pull request 3612 have this order.
   */
  readonly candidates: number;
  /** `[rows, candidates]`, flat: scale and hardness are in it; minus infinity is out of the softmax. */
  readonly logits: Float32Array;
}

/** What a ranking loss's softmax is taken of. */
export interface RankingScores {
  /** One part with partition mode `joint`, one a direction with `per_direction`. */
  readonly parts: readonly RankingScoresPart[];
  /** Place of each row's positive among the candidates of `query_to_doc`, with which the first part begins. */
  readonly labels: Int32Array;
}

export interface RankingScoresInputs {
  /** What similarities are taken of, one a column, flat `[rows, dimension]`: normalised for cosine similarity. */
  readonly vectors: readonly Float32Array[];
  /** Rows of the batch. */
  readonly rows: number;
  /** Cached rows that take part. */
  readonly bank: BankView | undefined;
}

/**
 * Computes all logits of a ranking loss. The losses keep no such matrix; this is for looking at one, and for comparing it:
 * memory is O(rows x candidates), cached queries against all cached candidates included.
 */
export async function computeRankingScores(
  programs: EncoderPrograms,
  options: ResolvedRankingOptions,
  { vectors, rows, bank }: RankingScoresInputs,
): Promise<RankingScores> {
  const batch: Source = {
    values: {
      rows,
      vectors,
      samples: sampleNumbers(bank?.firstSample ?? 0, rows),
      texts: bank?.batchTexts?.candidates,
    },
    rowTexts: bank?.batchTexts?.rows,
    // Nothing within a batch is a duplicate: the sampler sees to that.
    ownTexts: undefined,
    taken: sampleNumbers(0, rows),
  };
  const cached: Source | undefined = bank && {
    values: bank.cached,
    rowTexts: bank.cachedRowTexts,
    ownTexts: namesWithinBank(bank),
    taken: bank.bank.slotsByAge(),
  };
  const sources = cached ? [batch, cached] : [batch];
  const bands: Band[] = [];
  for (const lossRows of bank?.partitions ? sources : [batch]) {
    const cells: Cell[] = [];
    for (const candidates of sources)
      cells.push({ candidates, logits: await score(programs, options, lossRows, candidates) });
    bands.push({ rows: lossRows, cells });
  }

  const directions = rankingDirections.filter((direction) => options.directions.includes(direction));
  const softmaxes: [RankingScoresPart["name"], readonly RankingDirection[]][] =
    options.partitionMode === "joint"
      ? [["joint", directions]]
      : directions.map((direction) => [direction, [direction]]);
  const parts = softmaxes.map(([name, own]) => ({ name, ...joinBands(bands, own) }));
  return { parts, labels: sampleNumbers(0, parts[0]!.rows) };
}

/** Texts by name, as rows (anchors and positives) and as candidates. */
interface Texts {
  readonly rows: readonly Int32Array[];
  readonly candidates: readonly Int32Array[];
}

/** Rows of the batch or of the bank, as rows of the loss and as candidates. */
interface Source {
  /** Texts are named for the other source. */
  readonly values: CandidateValues;
  readonly rowTexts: readonly Int32Array[] | undefined;
  /** Names within this source. */
  readonly ownTexts: Texts | undefined;
  /** Rows that are no empty slots, in the order of the result. */
  readonly taken: Int32Array;
}

/** Logits against one source's candidates: for each direction one matrix a column, empty slots included. */
interface Cell {
  readonly candidates: Source;
  readonly logits: ReadonlyMap<RankingDirection, readonly Float32Array[]>;
}

/** Rows of one source, and their logits against each source. */
interface Band {
  readonly rows: Source;
  readonly cells: readonly Cell[];
}

function namesWithinBank({ bank, cached: { samples } }: BankView): Texts | undefined {
  if (!bank.maskDuplicates) return undefined;
  const keys = Array.from({ length: bank.columns }, (_, column) => bank.keys(column));
  const rowKeys = keys.slice(0, 2);
  const names = nameSharedTexts({ keys: rowKeys, samples }, { keys, samples });
  return names && { rows: names.rows(rowKeys), candidates: names.candidates(keys) };
}

async function score(
  programs: EncoderPrograms,
  options: ResolvedRankingOptions,
  rows: Source,
  candidates: Source,
): Promise<Cell["logits"]> {
  const { vectors, samples } = rows.values;
  const dimension = vectors[0]!.length / samples.length;
  const [rowTexts, candidateTexts] =
    rows === candidates ? [rows.ownTexts?.rows, rows.ownTexts?.candidates] : [rows.rowTexts, candidates.values.texts];
  const texts = rowTexts !== undefined;
  const gaps = candidates.values.samples.includes(-1);
  const key = `ranking-scores/${dimension}/${vectors.length}/${texts}/${gaps}/${JSON.stringify(options)}`;
  const program = await programs.compile(key, () => {
    const graph = new Graph("ranking_scores");
    const lossRows = declareRows(graph, dimension, texts);
    const layout = { prefix, rows: "candidates", documentColumns: vectors.length - 1, texts, gaps };
    const declared = declareCandidates(graph, layout, dimension);
    const outputs: Record<string, Value> = {};
    for (const direction of options.directions)
      buildLogits(direction, options, lossRows, declared).forEach((logits, column) => {
        outputs[`${direction}/${column}`] = logits;
      });
    return { graph, outputs };
  });
  const outputs = await program.run({
    ...rowInputs({ anchors: vectors[0]!, positives: vectors[1]!, samples, texts: rowTexts }, dimension),
    ...candidateInputs(prefix, { ...candidates.values, texts: candidateTexts }, dimension),
  });
  const logits = new Map<RankingDirection, Float32Array[]>(options.directions.map((direction) => [direction, []]));
  for (const name of Object.keys(program.outputs)) {
    const [direction, column] = name.split("/") as [RankingDirection, string];
    logits.get(direction)![Number(column)] = outputs[name]!.data as Float32Array;
  }
  return logits;
}

const prefix = "candidates/";

/** One matrix of some directions' logits, without the empty slots. */
function joinBands(
  bands: readonly Band[],
  directions: readonly RankingDirection[],
): Pick<RankingScoresPart, "rows" | "candidates" | "logits"> {
  const rows = bands.reduce((sum, band) => sum + band.rows.taken.length, 0);
  const logits: number[] = [];
  for (const { rows: source, cells } of bands) {
    const blocks = directions.flatMap((direction) =>
      cells[0]!.logits
        .get(direction)!
        .flatMap((_, column) =>
          cells.map((cell) => ({ candidates: cell.candidates, logits: cell.logits.get(direction)![column]! })),
        ),
    );
    for (const row of source.taken)
      for (const { candidates, logits: block } of blocks)
        for (const candidate of candidates.taken) {
          const logit = block[row * candidates.values.rows + candidate]!;
          logits.push(logit <= outOfSoftmax ? Number.NEGATIVE_INFINITY : logit);
        }
  }
  return { rows, candidates: logits.length / rows, logits: Float32Array.from(logits) };
}
