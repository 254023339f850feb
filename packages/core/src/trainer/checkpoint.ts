import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { z } from "zod";
import type { BankRows, EmbeddingBank, EmbeddingBankState } from "../bank/embedding-bank.ts";
import type { SentenceEncoder } from "../encoder/sentence-encoder.ts";
import { GradbankError, TrainingError } from "../errors.ts";
import { readOptionalJsonObject } from "../model-folder/read-json-file.ts";
import {
  type ReadSafetensorsOptions,
  readSafetensors,
  type SafetensorsTensor,
  type WritableTensor,
  writeSafetensors,
} from "../model-folder/safetensors.ts";
import { writeModelFolder } from "../model-folder/write-model-folder.ts";
import type { AdamW } from "../optimizer/adamw.ts";
import { encodeMeasured } from "./events.ts";
import { type RunState, runStateSchema } from "./run-state.ts";

const stateFile = "gradbank_state.json";
const optimizerFile = "optimizer.safetensors";
const weightsFile = "model.safetensors";
const bankFile = (index: number) => `bank-${index}.safetensors`;

/** What changes in a run besides its state: what a checkpoint saves and restores. */
export interface TrainedParts {
  readonly encoder: SentenceEncoder;
  readonly optimizer: AdamW;
  readonly banks: readonly EmbeddingBank[];
}

/** A checkpoint whose files are all whole. */
export interface Checkpoint {
  readonly folder: string;
  readonly state: RunState;
}

/**
 * Writes a checkpoint, as a whole or not at all: a model folder (without the ONNX export), `optimizer.safetensors`
 * (`exp_avg/<parameter>`, `exp_avg_sq/<parameter>`), a `bank-<n>.safetensors` for each bank, transformers' `trainer_state.json`,
 * and `gradbank_state.json` with the size and SHA-256 of each of these.
 *
 * @param trainerState content of trainer_state.json.
 * @throws ModelFolderError "disk-full", "not-writable" and others of `writeWholeFolder`; an older checkpoint of that name is
 *   then as it was.
 */
export async function writeCheckpoint(
  folder: string,
  { encoder, optimizer, banks }: TrainedParts,
  state: Omit<RunState, "files">,
  trainerState: unknown,
): Promise<void> {
  const { folder: source, modules } = encoder;
  const extraFiles: Record<string, (path: string) => Promise<void>> = {
    [optimizerFile]: (path) => writeOptimizer(path, encoder, optimizer),
    ...Object.fromEntries(
      banks.map((bank, index) => [bankFile(index), (path: string) => writeBank(path, bank.save())]),
    ),
    "trainer_state.json": (path) => writeFile(path, `${JSON.stringify(trainerState, null, 2)}\n`),
    // Last: it tells what the others are.
    [stateFile]: async (path) => {
      const files = await describeFiles(dirname(path));
      await writeFile(path, `${JSON.stringify({ ...state, files }, encodeMeasured, 2)}\n`);
    },
  };
  await writeModelFolder(
    folder,
    {
      ...source,
      maxSequenceLength: encoder.maxSequenceLength,
      embeddingDimension: encoder.dimension,
      transformer: {
        folder: source.transformer.folder,
        config: source.transformer.config,
        weights: new Map([...modules.parameters].map(({ name, shape, data }) => [name, { shape, data }])),
      },
    },
    { overwrite: true, extraFiles },
  );
}

/**
 * Reads a checkpoint's state and checks every file.
 * @throws TrainingError "checkpoint-damaged" that says what is wrong with which file.
 */
export async function readCheckpoint(folder: string): Promise<Checkpoint> {
  let found: unknown;
  try {
    found = await readOptionalJsonObject(join(folder, stateFile));
  } catch (cause) {
    if (!GradbankError.isInstance(cause)) throw cause;
    throw damaged(folder, stateFile, "cannot be read", cause);
  }
  if (found === undefined) throw damaged(folder, stateFile, "is missing");
  const parsed = runStateSchema.safeParse(found);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw damaged(folder, stateFile, `holds something else at ${issue.path.join(".")}: ${issue.message}`, parsed.error);
  }
  const state = parsed.data;
  for (const [file, { bytes, sha256 }] of Object.entries(state.files)) {
    const path = join(folder, file);
    const size = await stat(path).then(
      (found) => found.size,
      () => undefined,
    );
    if (size === undefined) throw damaged(folder, file, "is missing");
    if (size !== bytes) throw damaged(folder, file, `has ${size} bytes, but was written with ${bytes}`);
    if ((await hashFile(path)) !== sha256) throw damaged(folder, file, "holds other bytes than were written");
  }
  return { folder, state };
}

/**
 * Puts weights, moments and banks where the checkpoint has them.
 * @throws TrainingError "checkpoint-damaged"; OptionError for a bank of another capacity.
 */
export async function restoreCheckpoint(folder: string, { encoder, optimizer, banks }: TrainedParts): Promise<void> {
  await restoreWeights(folder, encoder);
  await restoreOptimizer(folder, encoder, optimizer);
  for (const [index, bank] of banks.entries()) bank.restore(await readBank(folder, bankFile(index)));
}

/** Reads a checkpoint's weights into the encoder. */
export async function restoreWeights(folder: string, encoder: SentenceEncoder): Promise<void> {
  const { tensors } = await readTensors(folder, weightsFile);
  for (const { name, data } of encoder.parameters) data.set(float32(folder, weightsFile, tensors, name, data.length));
}

async function writeOptimizer(path: string, encoder: SentenceEncoder, optimizer: AdamW): Promise<void> {
  const { step, firstMoments, secondMoments } = optimizer.state;
  const tensors = new Map<string, WritableTensor>();
  for (const { name, shape, offset, size } of encoder.parameters) {
    if (!encoder.trainedParameters.has(name)) continue;
    tensors.set(`exp_avg/${name}`, { shape, data: firstMoments.subarray(offset, offset + size) });
    tensors.set(`exp_avg_sq/${name}`, { shape, data: secondMoments.subarray(offset, offset + size) });
  }
  await writeSafetensors(path, tensors, { format: "pt", step: String(step) });
}

async function restoreOptimizer(folder: string, encoder: SentenceEncoder, optimizer: AdamW): Promise<void> {
  const { tensors, metadata } = await readTensors(folder, optimizerFile);
  const firstMoments = new Float32Array(encoder.parameters.count);
  const secondMoments = new Float32Array(encoder.parameters.count);
  for (const { name, offset, size } of encoder.parameters) {
    if (!encoder.trainedParameters.has(name)) continue;
    firstMoments.set(float32(folder, optimizerFile, tensors, `exp_avg/${name}`, size), offset);
    secondMoments.set(float32(folder, optimizerFile, tensors, `exp_avg_sq/${name}`, size), offset);
  }
  optimizer.restore({ step: Number(metadata.step), firstMoments, secondMoments });
}

const count = z.int().min(0);
const bankScalars = z.object({
  dimension: count,
  columns: count,
  fill: count,
  next: count,
  slotsPerBatch: count,
  optimizerSteps: count,
  staged: z.array(count).describe("Rows of each batch that waits for the optimizer step."),
});

async function writeBank(path: string, state: EmbeddingBankState): Promise<void> {
  const tensors = new Map<string, WritableTensor>();
  const { embeddings, keys, occupied, pushedAtStep, staged, ...scalars } = state;
  const add = (prefix: string, rows: number, given: Pick<BankRows, "embeddings" | "keys">) => {
    for (const [column, data] of given.embeddings.entries())
      tensors.set(`${prefix}embeddings.${column}`, { shape: [rows, state.dimension], data });
    for (const [column, data] of given.keys.entries()) tensors.set(`${prefix}keys.${column}`, { shape: [rows], data });
  };
  add("", occupied.length, { embeddings, keys });
  tensors.set("occupied", { shape: [occupied.length], data: occupied });
  tensors.set("pushed_at_step", { shape: [pushedAtStep.length], data: pushedAtStep });
  for (const [index, rows] of staged.entries()) add(`staged.${index}.`, rows.rows, rows);
  const facts = { ...scalars, staged: staged.map(({ rows }) => rows) };
  await writeSafetensors(path, tensors, { state: JSON.stringify(facts) });
}

async function readBank(folder: string, file: string): Promise<EmbeddingBankState> {
  const { tensors, metadata } = await readTensors(folder, file, { keepFloat64: true });
  const { staged, ...scalars } = bankScalars.parse(JSON.parse(metadata.state ?? "{}"));
  const take = (name: string) => tensors.get(name)!.data;
  const columns = Array.from({ length: scalars.columns }, (_, column) => column);
  const rowsAt = (prefix: string) => ({
    embeddings: columns.map((column) => take(`${prefix}embeddings.${column}`) as Float32Array),
    keys: columns.map((column) => take(`${prefix}keys.${column}`) as Float64Array),
  });
  return {
    ...scalars,
    ...rowsAt(""),
    occupied: take("occupied") as Uint8Array,
    pushedAtStep: take("pushed_at_step") as Int32Array,
    staged: staged.map((rows, index) => ({ rows, ...rowsAt(`staged.${index}.`) })),
  };
}

async function readTensors(folder: string, file: string, options: ReadSafetensorsOptions = {}) {
  try {
    return await readSafetensors(join(folder, file), options);
  } catch (cause) {
    if (!GradbankError.isInstance(cause)) throw cause;
    throw damaged(folder, file, "cannot be read", cause);
  }
}

function float32(
  folder: string,
  file: string,
  tensors: ReadonlyMap<string, SafetensorsTensor>,
  name: string,
  size: number,
): Float32Array {
  const data = tensors.get(name)?.data;
  if (!(data instanceof Float32Array) || data.length !== size)
    throw damaged(folder, file, `holds ${data?.length ?? "no"} numbers of ${name}, where the model has ${size}`);
  return data;
}

/** Size and hash of every file of a folder, by its path with slashes. */
async function describeFiles(folder: string): Promise<RunState["files"]> {
  const files: RunState["files"] = {};
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = relative(folder, path).split(sep).join("/");
    if (name !== stateFile) files[name] = { bytes: (await stat(path)).size, sha256: await hashFile(path) };
  }
  return files;
}

async function hashFile(path: string): Promise<string> {
  const digest = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) digest.update(chunk as Buffer);
  return digest.digest("hex");
}

function damaged(folder: string, file: string, what: string, cause?: unknown): TrainingError {
  return new TrainingError(
    "checkpoint-damaged",
    `${folder} is no whole checkpoint: ${file} ${what}${cause instanceof Error ? ` (${cause.message})` : ""}. Resume from another checkpoint, or with true from the newest whole one.`,
    { folder, file },
    cause === undefined ? {} : { cause },
  );
}
