import {
  type AdamW,
  type DropoutKey,
  type EmbeddingBank,
  type Loss,
  type LossObserver,
  OptionError,
  type Parameter,
  type SentenceEncoder,
  type TokenSequence,
  WeightUpdate,
} from "@gradbank/core";
import type { FloatTensor, TensorOf } from "../protocol/tensor.ts";
import type { LockstepColumn, ReferenceState } from "./reference-side.ts";
import type { Stage } from "./stages.ts";

/** One tensor of a step, as we have it; names as in `ReferenceTensor`. */
export interface OurTensor {
  readonly stage: Stage;
  readonly name: string;
  readonly shape: readonly number[];
  readonly value: ArrayLike<number>;
}

/** One batch of a step: token ids of each column, and perhaps the texts behind them. */
export interface LockstepBatch {
  /** Anchors, positives, negatives. */
  readonly columns: readonly (readonly TokenSequence[])[];
  /** The texts: both sides' tokenizers are then compared. */
  readonly texts?: readonly (readonly string[])[];
}

export interface OurSideOptions {
  readonly encoder: SentenceEncoder;
  readonly loss: Loss;
  readonly optimizer: AdamW;
  readonly maxGradNorm: number;
  /** Seed of the dropout masks; undefined: no dropout. */
  readonly dropoutSeed: number | undefined;
}

/**
 * Our half of a lockstep comparison. It takes its steps through the same `WeightUpdate` as the trainer, and keeps what
 * each stage computed.
 */
export class OurSide {
  readonly encoder: SentenceEncoder;
  readonly loss: Loss;
  readonly #update: WeightUpdate;
  readonly #optimizer: AdamW;
  readonly #dropoutSeed: number | undefined;
  /** Forward passes before this step: each draws its own masks, as in the trainer. */
  #passes = 0;
  #passesOfStep = 0;

  constructor({ encoder, loss, optimizer, maxGradNorm, dropoutSeed }: OurSideOptions) {
    this.encoder = encoder;
    this.loss = loss;
    this.#optimizer = optimizer;
    this.#update = new WeightUpdate(encoder, loss, optimizer, { maxGradNorm });
    this.#dropoutSeed = dropoutSeed;
  }

  /** A column as the reference takes it, with the masks that our side draws for the step's batch of this number. */
  column(batch: number, tokens: readonly TokenSequence[], column: number): LockstepColumn {
    const key = this.dropoutKey(batch);
    if (!key) return { tokens };
    const rows = Int32Array.from(tokens.keys());
    const length = Math.max(...tokens.map((sequence) => sequence.length));
    const masks = Object.entries(this.encoder.programs.dropoutMasks(key, column, rows, length)).map(
      ([site, { shape, data }]): [string, TensorOf<"uint8">] => [
        site,
        {
          dtype: "uint8",
          // We draw masks of hidden states over the tokens of all rows; torch has rows and tokens apart.
          shape: shape.length === 2 ? [rows.length, length, shape[1]!] : [...shape],
          data: data as Uint8Array,
        },
      ],
    );
    return { tokens, dropout: Object.fromEntries(masks) };
  }

  /** Key of the masks of a batch of the step that comes next, or that was taken last. */
  dropoutKey(batch: number): DropoutKey | undefined {
    return this.#dropoutSeed === undefined ? undefined : { seed: this.#dropoutSeed, step: this.#passes + batch };
  }

  /**
   * Forward and backward passes of an accumulation group: all stages up to `parameter-gradients`.
   * @param parameters give the tensors of all parameters.
   */
  async step(batches: readonly LockstepBatch[], parameters = true): Promise<OurTensor[]> {
    const tensors: OurTensor[] = [];
    this.#passesOfStep = batches.length;
    this.#update.zeroGradients();
    for (const [number, { columns }] of batches.entries()) {
      const name = `batch${number}`;
      const add = (stage: Stage, tensor: string, shape: readonly number[], value: ArrayLike<number>) =>
        tensors.push({ stage, name: tensor, shape, value });
      const shape = [columns[0]!.length, this.encoder.dimension];
      // The arrays may be used again after the call: they are copied.
      const observer: LossObserver = {
        onEmbeddings: (column, data) => add("embeddings", `${name}.column${column}`, shape, data.slice()),
        onScores: ({ parts, labels }) => {
          for (const { name: part, rows, candidates, logits } of parts)
            add("scores", part === "joint" ? name : `${name}.${part}`, [rows, candidates], logits);
          add("labels", name, [labels.length], labels);
        },
        onEmbeddingGradients: (column, data) =>
          add("embedding-gradients", `${name}.column${column}`, shape, data.slice()),
        onReplayedEmbeddings: (column, data) =>
          add("replayed-embeddings", `${name}.column${column}`, shape, data.slice()),
      };
      const dropout = this.dropoutKey(number);
      const loss = await this.#update.forwardBackward(
        { columns },
        { batches: batches.length, observer, ...(dropout ? { dropout } : {}) },
      );
      add("loss", name, [], [loss]);
      for (const tensor of this.#bankTensors(`${name}.`)) tensors.push(tensor);
    }
    for (const { name, shape } of parameters ? this.#trained() : [])
      tensors.push({
        stage: "parameter-gradients",
        name,
        shape,
        value: this.encoder.parameters.gradient(name).slice(),
      });
    return tensors;
  }

  /** Takes over gradients, so that the update is judged by itself. */
  loadGradients(gradients: Readonly<Record<string, FloatTensor>>): void {
    this.#update.zeroGradients();
    for (const [name, { data }] of Object.entries(gradients)) this.encoder.parameters.gradient(name).set(data);
  }

  /** Clips, updates the weights and tells the loss. */
  update(learningRate: number, parameters = true): OurTensor[] {
    const { gradNorm } = this.#update.apply(learningRate);
    this.#passes += this.#passesOfStep;
    this.#passesOfStep = 0;
    const tensors: OurTensor[] = [{ stage: "clip-norm", name: "norm", shape: [], value: [gradNorm] }];
    const { firstMoments, secondMoments } = this.#optimizer.state;
    const { data } = this.encoder.parameters;
    for (const { name, shape, offset, size } of parameters ? this.#trained() : []) {
      const range = [offset, offset + size] as const;
      tensors.push(
        { stage: "moments", name: `first.${name}`, shape, value: firstMoments.slice(...range) },
        { stage: "moments", name: `second.${name}`, shape, value: secondMoments.slice(...range) },
        { stage: "weights", name, shape, value: data.slice(...range) },
      );
    }
    return [...tensors, ...this.#bankTensors("")];
  }

  /** Takes over the reference's state: weights, moments and the rows of the bank. */
  load(state: ReferenceState): void {
    const { parameters } = this.encoder;
    const firstMoments = new Float32Array(parameters.count);
    const secondMoments = new Float32Array(parameters.count);
    for (const { name, offset } of this.#trained()) {
      parameters.data.set(entry(state.weights, name).data, offset);
      firstMoments.set(entry(state.firstMoments, name).data, offset);
      secondMoments.set(entry(state.secondMoments, name).data, offset);
    }
    this.#optimizer.restore({ step: state.step, firstMoments, secondMoments });
    const [bank] = this.loss.banks;
    const rows = state.bank?.[0]?.shape[0] ?? 0;
    // Banks of different rows were reported already and cannot be brought together.
    if (bank && state.bank && rows > 0 && bank.rows === rows)
      bank.replaceRows(state.bank.map(({ data }) => Float32Array.from(data)));
  }

  #trained(): Parameter[] {
    return [...this.encoder.parameters].filter(({ name }) => this.encoder.trainedParameters.has(name));
  }

  #bankTensors(prefix: string): OurTensor[] {
    const [bank] = this.loss.banks;
    if (!bank) return [];
    const slots = bank.slotsByAge();
    return Array.from({ length: bank.columns }, (_, column) => ({
      stage: "bank",
      name: `${prefix}column${column}`,
      shape: [slots.length, bank.dimension],
      value: rowsOf(bank, column, slots),
    }));
  }
}

function rowsOf(bank: EmbeddingBank, column: number, slots: Int32Array): Float32Array {
  const { dimension } = bank;
  const embeddings = bank.embeddings(column);
  const rows = new Float32Array(slots.length * dimension);
  slots.forEach((slot, row) => {
    rows.set(embeddings.subarray(slot * dimension, (slot + 1) * dimension), row * dimension);
  });
  return rows;
}

function entry(tensors: Readonly<Record<string, FloatTensor>>, name: string): FloatTensor {
  const tensor = tensors[name];
  if (tensor) return tensor;
  throw new OptionError(
    "invalid-input",
    `The reference's state has no "${name}", which our model has. Both sides must load the same model folder.`,
    { name, known: Object.keys(tensors) },
  );
}
