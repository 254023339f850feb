import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type WritableTensor, writeSafetensors } from "@gradbank/core";
import type {
  LockstepBatches,
  ReferenceActivation,
  ReferenceConfiguration,
  ReferenceSide,
  ReferenceState,
  ReferenceTensor,
} from "../lockstep/reference-side.ts";
import type { Stage } from "../lockstep/stages.ts";
import type { FloatTensor } from "../protocol/tensor.ts";
import { type CaseRecord, hashInputs, recordToJson, type StepRecord, stepFile, tensorKey } from "./golden-format.ts";

/** A step while it is recorded. */
interface OpenStep {
  readonly inputs: string;
  readonly tensors: Map<string, WritableTensor>;
  readonly step: StepRecord["step"];
  update?: NonNullable<StepRecord["update"]>;
  readonly pulled: StepRecord["pulled"][number][];
  state?: NonNullable<StepRecord["state"]>;
}

/**
 * A reference's side that writes down what the reference answers: one file a step, so that memory holds one step.
 * Activations are passed on but not kept.
 */
export class RecordingSide implements ReferenceSide {
  readonly configuration: ReferenceConfiguration;
  readonly #side: ReferenceSide;
  readonly #folder: string;
  readonly #tokens = new Map<string, readonly number[]>();
  #open: OpenStep | undefined;
  #steps = 0;

  /** @param folder an empty folder. */
  constructor(side: ReferenceSide, folder: string) {
    this.#side = side;
    this.#folder = folder;
    this.configuration = side.configuration;
  }

  /** Steps that were recorded to their end. */
  get steps(): number {
    return this.#steps;
  }

  async tokenize(texts: readonly string[]): Promise<readonly (readonly number[])[]> {
    const rows = await this.#side.tokenize(texts);
    texts.forEach((text, index) => {
      this.#tokens.set(text, Array.from(rows[index]!, Number));
    });
    return rows;
  }

  async step(batches: LockstepBatches): Promise<readonly ReferenceTensor[]> {
    await this.#finishStep();
    const answer = await this.#side.step(batches);
    const tensors: OpenStep["tensors"] = new Map();
    this.#open = { inputs: hashInputs(batches), tensors, step: keep(tensors, "step", answer), pulled: [] };
    return answer;
  }

  async update(learningRate: number): Promise<readonly ReferenceTensor[]> {
    const answer = await this.#side.update(learningRate);
    const open = this.#open!;
    open.update = { learningRate, tensors: keep(open.tensors, "update", answer) };
    return answer;
  }

  async pull(stage: Stage, names: readonly string[]): Promise<readonly ReferenceTensor[]> {
    const answer = await this.#side.pull(stage, names);
    const open = this.#open!;
    // Tensors that were pulled before keep their place.
    const before = new Set(open.pulled.map((tensor) => tensorKey("pulled", tensor)));
    open.pulled.push(
      ...keep(open.tensors, "pulled", answer).filter((tensor) => !before.has(tensorKey("pulled", tensor))),
    );
    return answer;
  }

  async gradients(): Promise<Readonly<Record<string, FloatTensor>>> {
    const answer = await this.#side.gradients();
    keepAll(this.#open!.tensors, "gradients", answer);
    return answer;
  }

  async state(): Promise<ReferenceState> {
    const answer = await this.#side.state();
    const { tensors } = this.#open!;
    keepAll(tensors, "state/weights", answer.weights);
    keepAll(tensors, "state/first", answer.firstMoments);
    keepAll(tensors, "state/second", answer.secondMoments);
    keepAll(tensors, "state/bank", Object.fromEntries((answer.bank ?? []).entries()));
    this.#open!.state = { step: answer.step, bankColumns: answer.bank?.length ?? null };
    return answer;
  }

  activations(batch: number, column: number): Promise<readonly ReferenceActivation[]> {
    return this.#side.activations(batch, column);
  }

  async close(): Promise<void> {
    await this.finish();
    await this.#side.close();
  }

  /** Writes what is not on disk yet. May be called twice. */
  async finish(): Promise<void> {
    await this.#finishStep();
    const { facts, environment } = this.configuration;
    const record: CaseRecord = { facts, environment, tokens: [...this.#tokens] };
    await writeFile(join(this.#folder, "case.json"), `${JSON.stringify(record)}\n`);
  }

  async #finishStep(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    // A step without its update was interrupted: it is no step.
    if (!open?.update) return;
    const { tensors, ...record } = open;
    await writeSafetensors(join(this.#folder, stepFile(this.#steps + 1)), tensors, { record: recordToJson(record) });
    this.#steps++;
  }
}

function keep(
  into: OpenStep["tensors"],
  call: Parameters<typeof tensorKey>[0],
  answer: readonly ReferenceTensor[],
): StepRecord["step"] {
  return answer.map(({ value, sketch, ...facts }) => {
    const record = { ...facts, holds: value ? ("value" as const) : ("sketch" as const) };
    into.set(
      tensorKey(call, record),
      value ? { shape: facts.shape, data: value } : { shape: [sketch!.length], data: sketch! },
    );
    return record;
  });
}

function keepAll(into: OpenStep["tensors"], prefix: string, answer: Readonly<Record<string, FloatTensor>>): void {
  for (const [name, { shape, data }] of Object.entries(answer)) into.set(`${prefix}/${name}`, { shape, data });
}
