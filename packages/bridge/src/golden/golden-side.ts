import { join } from "node:path";
import { readSafetensors } from "@gradbank/core";
import type {
  LockstepBatches,
  Numbers,
  ReferenceActivation,
  ReferenceConfiguration,
  ReferenceSide,
  ReferenceState,
  ReferenceTensor,
} from "../lockstep/reference-side.ts";
import type { Stage } from "../lockstep/stages.ts";
import type { FloatTensor } from "../protocol/tensor.ts";
import { GoldenError } from "./errors.ts";
import {
  type CaseRecord,
  hashFile,
  hashInputs,
  recordFromJson,
  type StepRecord,
  stepFile,
  type TensorRecord,
  tensorKey,
} from "./golden-format.ts";

/** A case of a golden folder. */
export interface GoldenCase {
  readonly name: string;
  readonly folder: string;
  readonly record: CaseRecord;
  /** SHA-256 of each file. */
  readonly files: Readonly<Record<string, string>>;
}

interface ReplayedStep {
  readonly record: StepRecord;
  readonly tensors: ReadonlyMap<string, FloatTensor>;
}

/**
 * A reference's side that repeats what was recorded, and computes nothing.
 *
 * It answers only what it was asked while it was recorded: other tokens, dropout masks or learning rates are refused with
 * "golden-mismatch". `pull` gives sketches again where no whole tensors were recorded, and `activations` gives none: a
 * difference is then found, but for its place inside a large tensor or inside the encoder Python is needed.
 */
export class GoldenSide implements ReferenceSide {
  readonly configuration: ReferenceConfiguration;
  readonly #case: GoldenCase;
  readonly #tokens: ReadonlyMap<string, readonly number[]>;
  #number = 0;
  #step: ReplayedStep | undefined;

  constructor(golden: GoldenCase) {
    this.#case = golden;
    this.#tokens = new Map(golden.record.tokens);
    const { facts, environment } = golden.record;
    this.configuration = { facts: facts as ReferenceConfiguration["facts"], environment };
  }

  async tokenize(texts: readonly string[]): Promise<readonly (readonly number[])[]> {
    return texts.map((text) => {
      const ids = this.#tokens.get(text);
      if (ids) return ids;
      throw this.#mismatch(`holds no tokens of the text ${JSON.stringify(text.slice(0, 60))}`);
    });
  }

  async step(batches: LockstepBatches): Promise<readonly ReferenceTensor[]> {
    this.#number++;
    this.#step = await this.#read(this.#number);
    if (this.#step.record.inputs !== hashInputs(batches))
      throw this.#mismatch(`was recorded with other token ids or dropout masks in step ${this.#number}`);
    return this.#tensors("step", this.#step.record.step);
  }

  async update(learningRate: number): Promise<readonly ReferenceTensor[]> {
    const recorded = this.#current.record.update!;
    if (recorded.learningRate !== learningRate)
      throw this.#mismatch(
        `was recorded with the learning rate ${recorded.learningRate} in step ${this.#number}, not ${learningRate}`,
      );
    return this.#tensors("update", recorded.tensors);
  }

  async pull(stage: Stage, names: readonly string[]): Promise<readonly ReferenceTensor[]> {
    const { step, update, pulled } = this.#current.record;
    return names.map((name) => {
      for (const [call, records] of [
        ["pulled", pulled],
        ["step", step],
        ["update", update!.tensors],
      ] as const) {
        const record = records.find((tensor) => tensor.stage === stage && tensor.name === name);
        if (record) return this.#tensors(call, [record])[0]!;
      }
      throw this.#mismatch(`holds no tensor ${name} of the stage ${stage} in step ${this.#number}`);
    });
  }

  async gradients(): Promise<Readonly<Record<string, FloatTensor>>> {
    return this.#withPrefix("gradients/");
  }

  async state(): Promise<ReferenceState> {
    const { state } = this.#current.record;
    if (!state) throw this.#mismatch(`holds no state after step ${this.#number}`);
    const bank = this.#withPrefix("state/bank/");
    return {
      step: state.step,
      weights: this.#withPrefix("state/weights/"),
      firstMoments: this.#withPrefix("state/first/"),
      secondMoments: this.#withPrefix("state/second/"),
      ...(state.bankColumns === null
        ? {}
        : { bank: Array.from({ length: state.bankColumns }, (_, column) => bank[column]!) }),
    };
  }

  async activations(): Promise<readonly ReferenceActivation[]> {
    return [];
  }

  async close(): Promise<void> {
    this.#step = undefined;
  }

  get #current(): ReplayedStep {
    if (this.#step) return this.#step;
    throw this.#mismatch("was asked for a result before its first step");
  }

  async #read(number: number): Promise<ReplayedStep> {
    const file = stepFile(number);
    const path = join(this.#case.folder, file);
    if (!Object.hasOwn(this.#case.files, file)) throw this.#mismatch(`holds ${number - 1} steps, not ${number}`);
    await checkFile(path, this.#case.files[file]!);
    const { tensors, metadata } = await readSafetensors(path, { keepFloat64: true });
    return {
      record: recordFromJson(metadata.record!),
      tensors: new Map([...tensors].map(([name, { shape, data }]) => [name, floatTensor(shape, data)])),
    };
  }

  #tensors(call: Parameters<typeof tensorKey>[0], records: readonly TensorRecord[]): ReferenceTensor[] {
    return records.map(({ holds, ...facts }) => ({
      ...facts,
      [holds]: this.#current.tensors.get(tensorKey(call, { ...facts, holds }))!.data as Numbers,
    }));
  }

  #withPrefix(prefix: string): Record<string, FloatTensor> {
    return Object.fromEntries(
      [...this.#current.tensors]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
    );
  }

  #mismatch(what: string): GoldenError {
    return new GoldenError(
      "golden-mismatch",
      `The golden folder's case ${JSON.stringify(this.#case.name)} (${this.#case.folder}) ${what}. Record it again with --export-golden, or compare with Python.`,
      { case: this.#case.name, folder: this.#case.folder, step: this.#number },
    );
  }
}

/** Throws GoldenError "golden-damaged" unless the file is there and as it was written. */
export async function checkFile(path: string, expected: string): Promise<void> {
  const found = await hashFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw new GoldenError(
      "golden-damaged",
      `${path} cannot be read (${cause.code}). The golden folder is not complete; copy or record it again.`,
      { path },
      { cause },
    );
  });
  if (found !== expected)
    throw new GoldenError(
      "golden-damaged",
      `${path} is not as it was recorded: its SHA-256 is ${found}, expected ${expected}. Copy or record the golden folder again.`,
      { path, found, expected },
    );
}

function floatTensor(shape: readonly number[], data: ArrayLike<number | bigint>): FloatTensor {
  return data instanceof Float64Array
    ? { dtype: "float64", shape, data }
    : { dtype: "float32", shape, data: data as Float32Array };
}
