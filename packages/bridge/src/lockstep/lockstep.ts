import { type AdamW, createAdamW, type Loss, type SentenceEncoder, TrainingError } from "@gradbank/core";
import { compareExactly, compareFacts } from "../comparison/compare-values.ts";
import { explain } from "../comparison/explain.ts";
import type { TensorComparison } from "../comparison/tensor-comparison.ts";
import type { Divergence, StageReport, StepReport } from "../report/parity-report.ts";
import { type ComparedActivation, walkActivations } from "./activation-walk.ts";
import { configurationFacts, defaultUpdateArguments } from "./configuration-facts.ts";
import { type LockstepBatch, OurSide, type OurTensor } from "./our-side.ts";
import type { LockstepMode, UpdateArguments } from "./python-side.ts";
import type { ReferenceSide, ReferenceTensor } from "./reference-side.ts";
import { compareReplays } from "./replay.ts";
import { type JudgeOptions, StageComparer } from "./stage-comparer.ts";
import { type Stage, stageOrder, stages } from "./stages.ts";

export interface LockstepOptions extends JudgeOptions {
  /** Our model, loaded from the same folder as the reference's. Its weights change. */
  readonly encoder: SentenceEncoder;
  readonly loss: Loss;
  readonly side: ReferenceSide;
  readonly mode: LockstepMode;
  /** Default: the Hugging Face Trainer's defaults. */
  readonly arguments?: UpdateArguments;
  /** Seed of the dropout masks, which both sides get. Default: no dropout. */
  readonly dropoutSeed?: number;
  /** Default: AdamW with `arguments`. */
  readonly optimizer?: AdamW;
  /** Send every tensor whole, however large. Default: only what differs. */
  readonly pullAll?: boolean;
  /** Compare gradients of the parameters, moments and weights in the first step and in every so many. Default: in each. */
  readonly parametersEvery?: number;
  /** Called with both sides of every tensor that differs. */
  readonly onDifference?: (difference: Difference) => Promise<void> | void;
}

/** A tensor that differs, on both sides. */
export interface Difference {
  readonly step: number;
  readonly stage: Stage;
  readonly name: string;
  /** Absent where a side does not have it. */
  readonly ours?: OurTensor;
  readonly reference?: ReferenceTensor;
}

/** What a step of a lockstep comparison found. */
export interface LockstepStep {
  readonly report: StepReport;
  /** The first stage that differs, if one does. */
  readonly divergence?: Divergence;
}

/** Stages that exist before the weights are updated, in order. */
const beforeUpdate = stages.slice(0, stages.indexOf("clip-norm"));

/**
 * Lets our side and a reference take the same steps, and compares every stage of each.
 *
 * Both must hold the same model folder. The reference is judged to be right; its own rounding, measured in every step, is
 * the measure of ours.
 */
export class Lockstep {
  /** Facts of both sides: options, hashes of weights and tokenizer. A difference makes everything later meaningless. */
  readonly configuration: StageReport;
  readonly #options: LockstepOptions;
  readonly #ours: OurSide;
  readonly #comparer: StageComparer;
  #step = 0;

  private constructor(options: LockstepOptions, ours: OurSide, configuration: StageReport) {
    this.#options = options;
    this.#ours = ours;
    this.#comparer = new StageComparer(options);
    this.configuration = configuration;
  }

  /** Brings the two sides together and compares their configuration. */
  static open(options: LockstepOptions): Lockstep {
    const { encoder, loss, side, dropoutSeed } = options;
    const update = { ...defaultUpdateArguments, ...options.arguments };
    const facts = configurationFacts(encoder, loss, { arguments: update, dropout: dropoutSeed !== undefined });
    const theirs = side.configuration.facts;
    // A loss of the user's may say nothing about its options.
    const shared = Object.keys(facts).filter((name) => name in theirs || !name.startsWith("loss."));
    const comparisons = compareFacts(pick(facts, shared), pick(theirs, shared));
    return new Lockstep(
      options,
      new OurSide({
        encoder,
        loss,
        optimizer: options.optimizer ?? createAdamW(encoder, update),
        maxGradNorm: update.maxGradNorm,
        dropoutSeed,
      }),
      summarize("configuration", comparisons),
    );
  }

  /**
   * Takes the next step on both sides: the batches of one accumulation group, and an update of the weights.
   *
   * @throws BridgeError when the reference cannot take it; TrainingError "non-finite-loss" when neither side's loss is a
   * number; whatever the loss throws for a batch that it cannot take.
   */
  async step(batches: readonly LockstepBatch[], learningRate: number): Promise<LockstepStep> {
    const { side, mode } = this.#options;
    const clock = new Clock();
    const number = ++this.#step;
    const found = new Map<Stage, TensorComparison[]>();

    const tokens = await clock.measure("reference", () => this.#compareTokens(batches));
    if (tokens.length > 0) found.set("tokens", tokens);
    const { parametersEvery = 1 } = this.#options;
    const parameters = number === 1 || number % parametersEvery === 0;
    const ours = await clock.measure("ours", () => this.#ours.step(batches, parameters));
    const theirs = await clock.measure("reference", () =>
      side.step({
        parameters,
        batches: batches.map(({ columns }, batch) => ({
          columns: columns.map((rows, column) => this.#ours.column(batch, rows, column)),
        })),
      }),
    );
    for (const stage of beforeUpdate) {
      if (stage === "configuration" || stage === "tokens") continue;
      await this.#compare(found, stage, ours, theirs, clock);
    }
    const loss = lossesOf(ours, theirs);
    const activations = await this.#walk(found, batches);

    if (mode === "teacher-forced") this.#ours.loadGradients(await clock.measure("reference", () => side.gradients()));
    const ourUpdate = await clock.measure("ours", async () => this.#ours.update(learningRate, parameters));
    const theirUpdate = await clock.measure("reference", () => side.update(learningRate));
    for (const stage of ["clip-norm", "moments", "weights", "bank"] as const)
      await this.#compare(found, stage, ourUpdate, theirUpdate, clock);
    if (mode === "teacher-forced") this.#ours.load(await clock.measure("reference", () => side.state()));

    const reports = stages.flatMap((stage) => (found.has(stage) ? [summarize(stage, found.get(stage)!)] : []));
    if (loss.ours === null && loss.reference === null)
      throw new TrainingError(
        "non-finite-loss",
        `The loss of step ${number} is no number on either side: there is nothing to compare from here on. Lower the learning rate, or look at the batch.`,
        { step: number },
      );
    const report: StepReport = {
      step: number,
      equal: reports.every(({ equal }) => equal),
      loss,
      stages: reports,
      seconds: clock.seconds(),
    };
    const divergence = describeDivergence(report, activations);
    return { report, ...(divergence ? { divergence } : {}) };
  }

  /** Ends the reference's half. */
  async close(): Promise<void> {
    await this.#options.side.close();
  }

  /** Compares a stage; fetches whole what differs by its sketch. Adds to what was found of the stage before. */
  async #compare(
    found: Map<Stage, TensorComparison[]>,
    stage: Stage,
    ours: readonly OurTensor[],
    theirs: readonly ReferenceTensor[],
    clock: Clock,
  ): Promise<void> {
    if (stage === "replayed-embeddings") {
      const replays = compareReplays(ours, theirs);
      if (replays.length > 0) found.set(stage, replays);
      return;
    }
    const own = ours.filter((tensor) => tensor.stage === stage);
    const reference = theirs.filter((tensor) => tensor.stage === stage);
    let compared = this.#comparer.compare(stage, own, reference);
    const wanted = compared.filter(({ sketched, equal }) => sketched && (!equal || this.#options.pullAll));
    const whole = new Map(reference.map((tensor) => [tensor.name, tensor]));
    if (wanted.length > 0) {
      const names = wanted.map(({ name }) => name);
      const pulled = await clock.measure("reference", () => this.#options.side.pull(stage, names));
      for (const tensor of pulled) whole.set(tensor.name, tensor);
      const exact = new Map(
        this.#comparer
          .compare(
            stage,
            own.filter(({ name }) => names.includes(name)),
            pulled,
          )
          .map((comparison) => [comparison.name, comparison]),
      );
      compared = compared.map((comparison) => {
        const elements = exact.get(comparison.name);
        // A sketch that differs is a difference, even where no single element stands out.
        return elements ? { ...elements, ...(comparison.equal ? {} : verdictOf(comparison, elements)) } : comparison;
      });
    }
    for (const { name, equal } of compared) {
      if (equal) continue;
      const [mine, theirsOfIt] = [own.find((tensor) => tensor.name === name), whole.get(name)];
      await this.#options.onDifference?.({
        step: this.#step,
        stage,
        name,
        ...(mine ? { ours: mine } : {}),
        ...(theirsOfIt ? { reference: theirsOfIt } : {}),
      });
    }
    if (compared.length > 0) found.set(stage, [...(found.get(stage) ?? []), ...compared]);
  }

  async #compareTokens(batches: readonly LockstepBatch[]): Promise<TensorComparison[]> {
    const { side } = this.#options;
    const comparisons: TensorComparison[] = [];
    for (const [batch, { columns, texts = [] }] of batches.entries())
      for (const [column, given] of texts.entries()) {
        const theirs = await side.tokenize(given);
        const rows = columns[column]!;
        const width = Math.max(...rows.map((row) => row.length), ...theirs.map((row) => row.length));
        comparisons.push(
          compareExactly({
            name: `batch${batch}.column${column}`,
            shape: [given.length, width],
            ours: tokenTable(rows, width),
            reference: tokenTable(theirs, width),
          }),
        );
      }
    return comparisons;
  }

  /** Where embeddings are the first that differs, the way through the encoder to the first module that does. */
  async #walk(
    found: ReadonlyMap<Stage, readonly TensorComparison[]>,
    batches: readonly LockstepBatch[],
  ): Promise<ComparedActivation[] | undefined> {
    const first = firstDifference([...found].map(([stage, tensors]) => ({ stage, tensors })));
    const place = /^batch(\d+)\.column(\d+)$/.exec(first?.tensor.name ?? "");
    if (first?.stage !== "embeddings" || !place) return undefined;
    const [batch, column] = [Number(place[1]), Number(place[2])];
    const target = { batch, column, tokens: batches[batch]!.columns[column]! };
    return walkActivations(this.#ours, this.#options.side, target, this.#options);
  }
}

/** Parts of a step's time. */
class Clock {
  readonly #started = performance.now();
  readonly #sums = { ours: 0, reference: 0 };

  async measure<Result>(part: "ours" | "reference", work: () => Promise<Result>): Promise<Result> {
    const started = performance.now();
    try {
      return await work();
    } finally {
      this.#sums[part] += performance.now() - started;
    }
  }

  seconds(): StepReport["seconds"] {
    const { ours, reference } = this.#sums;
    const all = performance.now() - this.#started;
    return { ours: ours / 1000, reference: reference / 1000, comparison: (all - ours - reference) / 1000 };
  }
}

/** A stage's comparisons in short: all that differ, and the worst. */
export function summarize(stage: Stage, comparisons: readonly TensorComparison[]): StageReport {
  const worst = comparisons.reduce((most, other) => (severity(other) > severity(most) ? other : most));
  return {
    stage,
    equal: comparisons.every(({ equal }) => equal),
    multiple: worst.multiple ?? (worst.equal ? 0 : null),
    worst: worst.name,
    tensors: comparisons.filter((comparison) => !comparison.equal || comparison === worst),
    compared: comparisons.length,
  };
}

/** Differing tensors before equal ones, then by multiple; one that is no number is the worst. */
function severity({ equal, multiple }: TensorComparison): number {
  const size = multiple === null ? Number.MAX_VALUE : (multiple ?? 0);
  return equal ? size / (1 + size) : 1 + size;
}

function verdictOf(sketched: TensorComparison, whole: TensorComparison): Partial<TensorComparison> {
  if (!whole.equal) return {};
  return {
    equal: false,
    ...(sketched.reason ? { reason: sketched.reason } : {}),
    ...(sketched.multiple === undefined ? {} : { multiple: sketched.multiple }),
  };
}

/**
 * The tensor that is the first to differ in the order in which a step computes: batch by batch, stage by stage, and what
 * belongs to the whole group after its batches. Of several in one place, the worst.
 */
function firstDifference(
  found: readonly { readonly stage: Stage; readonly tensors: readonly TensorComparison[] }[],
): { stage: Stage; tensor: TensorComparison } | undefined {
  const batch = ({ name }: TensorComparison) => Number(/^batch(\d+)/.exec(name)?.[1] ?? Number.POSITIVE_INFINITY);
  const differing = found.flatMap(({ stage, tensors }) =>
    tensors.filter(({ equal }) => !equal).map((tensor) => ({ stage, tensor, batch: batch(tensor) })),
  );
  return differing.reduce<(typeof differing)[number] | undefined>((first, other) => {
    if (!first || other.batch < first.batch) return other;
    if (other.batch > first.batch) return first;
    const later = stageOrder(other.stage) - stageOrder(first.stage);
    return later < 0 || (later === 0 && severity(other.tensor) > severity(first.tensor)) ? other : first;
  }, undefined);
}

function describeDivergence(
  report: StepReport,
  activations: readonly ComparedActivation[] | undefined,
): Divergence | undefined {
  const first = firstDifference(report.stages);
  if (!first) return undefined;
  return {
    step: report.step,
    stage: first.stage,
    tensor: first.tensor.name,
    message: explain(first.tensor),
    ...(activations ? { activations: [...activations] } : {}),
  };
}

function lossesOf(ours: readonly OurTensor[], theirs: readonly ReferenceTensor[]): StepReport["loss"] {
  const mean = (losses: readonly { stage: Stage; value?: ArrayLike<number> }[]) => {
    const values = losses.filter(({ stage }) => stage === "loss").map(({ value }) => value![0]!);
    const result = values.reduce((sum, value) => sum + value, 0) / values.length;
    return Number.isFinite(result) ? result : null;
  };
  return { ours: mean(ours), reference: mean(theirs) };
}

function tokenTable(rows: readonly ArrayLike<number>[], width: number): number[] {
  return rows.flatMap((row) => Array.from({ length: width }, (_, position) => Number(row[position] ?? -1)));
}

function pick<T>(facts: Readonly<Record<string, T>>, names: readonly string[]): Record<string, T> {
  return Object.fromEntries(names.filter((name) => name in facts).map((name) => [name, facts[name]!]));
}
