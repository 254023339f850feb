import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, sep } from "node:path";
import { z } from "zod";
import type { LockstepBatches, ReferenceTensor } from "../lockstep/reference-side.ts";

/*
 * A golden folder:
 *   manifest.json                            what it holds; hashes of all files
 *   models/<hash>/                           model folders, whole
 *   cases/<number>-<name>/case.json          configuration of the reference, tokens of the texts
 *   cases/<number>-<name>/step-0001.safetensors
 *                                            what the reference answered in a step; its metadata says how (`StepRecord`)
 */

/** Version of the layout; raised when a reader of the old one would misread the new one. */
export const goldenVersion = 1;

export const manifestSchema = z.strictObject({
  version: z.literal(goldenVersion),
  suite: z.string().describe("Name of the suite."),
  suiteHash: z.string().describe("SHA-256 of the settings of all its cases, recorded or not."),
  environment: z
    .record(z.string(), z.union([z.string(), z.number()]))
    .describe("Versions and machine of the reference that was recorded."),
  cases: z.array(
    z.strictObject({
      name: z.string(),
      folder: z.string().describe("Folder in cases/."),
      model: z.string().describe("Folder in models/: SHA-256 of its files."),
      settings: z.record(z.string(), z.unknown()),
      files: z.record(z.string(), z.string()).describe("SHA-256 of each file of the folder."),
    }),
  ),
});
export type GoldenManifest = z.infer<typeof manifestSchema>;

/** Content of case.json. */
export interface CaseRecord {
  readonly facts: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, string | number>>;
  /** Each text and its token ids. */
  readonly tokens: readonly (readonly [text: string, ids: readonly number[]])[];
}

/** A tensor without its numbers, which lie in the file under `<call>/<stage>/<name>`. */
export type TensorRecord = Omit<ReferenceTensor, "value" | "sketch"> & { readonly holds: "value" | "sketch" };

/** What a step's file says in its metadata, as JSON under "record". */
export interface StepRecord {
  /** Hash of the step's tokens and dropout masks. */
  readonly inputs: string;
  readonly step: readonly TensorRecord[];
  readonly update?: { readonly learningRate: number; readonly tensors: readonly TensorRecord[] };
  readonly pulled: readonly TensorRecord[];
  readonly state?: { readonly step: number; readonly bankColumns: number | null };
}

/** Where a tensor lies in a step's file. */
export function tensorKey(call: "step" | "update" | "pulled", { stage, name }: TensorRecord | ReferenceTensor): string {
  return `${call}/${stage}/${name}`;
}

/** Name of a step's file; steps are counted from 1. */
export function stepFile(step: number): string {
  return `step-${String(step).padStart(4, "0")}.safetensors`;
}

/** JSON that keeps -0 and numbers that are not finite, as the words that JavaScript's Number understands. */
export function recordToJson(record: StepRecord): string {
  return JSON.stringify(record, (_, value: unknown) =>
    typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0))
      ? { number: Object.is(value, -0) ? "-0" : String(value) }
      : value,
  );
}

/** Reads what `recordToJson` wrote. */
export function recordFromJson(text: string): StepRecord {
  return JSON.parse(text, (_, value: unknown) =>
    typeof value === "object" && value !== null && "number" in value && Object.keys(value).length === 1
      ? Number(value.number)
      : value,
  ) as StepRecord;
}

/** Hash of everything that a step is computed from but the state: token ids and dropout masks. */
export function hashInputs({ batches }: LockstepBatches): string {
  const hash = createHash("sha256");
  for (const { columns } of batches) {
    hash.update(`batch ${columns.length};`);
    for (const { tokens, dropout = {} } of columns) {
      hash.update(`column ${JSON.stringify(tokens.map((row) => Array.from(row, Number)))};`);
      for (const site of Object.keys(dropout).sort()) {
        const { shape, data } = dropout[site]!;
        hash.update(`${site} ${JSON.stringify(shape)};`).update(data);
      }
    }
  }
  return hash.digest("hex");
}

/** SHA-256 of a file, read piece by piece. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** A model folder's files by their path with slashes, and one hash over all. Hidden files and ONNX exports do not count. */
export async function describeModelFolder(folder: string): Promise<{ files: readonly string[]; hash: string }> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length).replaceAll(sep, "/").replace(/^\/+/, ""))
    .filter((file) => !/(?:^|\/)\.|^(?:onnx|openvino)\//.test(file))
    .sort();
  const hash: Hash = createHash("sha256");
  for (const file of files) hash.update(`${file}\n${await hashFile(join(folder, file))}\n`);
  return { files, hash: hash.digest("hex") };
}
