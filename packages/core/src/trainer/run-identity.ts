import { createHash } from "node:crypto";
import type { Dataset } from "../data/dataset.ts";
import type { SentenceEncoder } from "../encoder/sentence-encoder.ts";
import { TrainingError } from "../errors.ts";
import type { Evaluator } from "../evaluation/evaluator.ts";
import type { Loss } from "../loss/loss.ts";
import type { BatchSampler } from "../sampler/batch-sampler.ts";
import type { TrainingArguments } from "./arguments.ts";

/** What a run is made of, by dotted names: `arguments.learningRate`, `data.rows`. */
export type RunIdentity = Readonly<Record<string, unknown>>;

export interface RunParts {
  readonly encoder: SentenceEncoder;
  readonly loss: Loss;
  readonly trainDataset: Dataset;
  readonly evalDataset?: Dataset | undefined;
  readonly evaluator?: Evaluator | undefined;
  /** Given instead of the one that the arguments name. */
  readonly sampler?: BatchSampler | undefined;
  readonly dropout: boolean;
  readonly arguments: TrainingArguments;
}

/** Something that a checkpoint and the present run do not share. */
export interface IdentityDifference {
  readonly name: string;
  readonly checkpoint: unknown;
  readonly now: unknown;
}

/** Data sets of up to so many rows are looked at whole; of larger ones so many rows, evenly spread. */
const wholeRows = 100_000;
const spreadRows = 10_000;
const rowsAtOnce = 1000;
/** Rows whose tokens tell a tokenizer from another. */
const tokenizedRows = 32;

/** What may differ: it decides what is told and kept, and changes no update. */
const mayDiffer =
  /^(?:arguments\.(?:outputDir|perDeviceEvalBatchSize|bankDriftSteps|loadBestModelAtEnd|(?:logging|eval|save)[A-Z]\w*)|evaluation\..*|model\.name|device|versions\..*)$/;

/** What nobody needs to be told about. */
const unimportant = /^(?:arguments\.outputDir|versions\..*)$/;

/**
 * Describes everything on which a run's updates depend, so that a checkpoint is not taken up by another run. Texts are
 * hashed: all of them up to 100,000 rows, 10,000 evenly spread ones of more.
 */
export async function describeRun(parts: RunParts, versions: Readonly<Record<string, string>>): Promise<RunIdentity> {
  const { encoder, loss, trainDataset, evalDataset, evaluator, sampler, dropout } = parts;
  const { names: _, ...architecture } = encoder.architecture;
  const first = Int32Array.from({ length: Math.min(tokenizedRows, trainDataset.length) }, (__, row) => row);
  return flatten({
    model: {
      name: encoder.name,
      ...architecture,
      pooling: encoder.modules.pooling,
      normalize: encoder.modules.normalize,
      maxSequenceLength: encoder.maxSequenceLength,
      parameters: hash([...encoder.parameters].map(({ name, shape }) => [name, shape])),
      tokens: hash((await trainDataset.readRows(first)).map((row) => encoder.tokenize(row).map((ids) => [...ids]))),
    },
    loss: { name: loss.name, ...loss.configuration },
    data: await describeDataset(trainDataset),
    evaluation: {
      ...(evalDataset ? await describeDataset(evalDataset) : {}),
      ...(evaluator ? { primaryMetric: evaluator.primaryMetric } : {}),
    },
    sampler: sampler ? { batches: sampler.length, firstBatch: hash([...(firstBatch(sampler) ?? [])]) } : {},
    dropout,
    arguments: parts.arguments,
    device: encoder.programs.runtime.device,
    versions,
  });
}

/**
 * Refuses to go on from another run's checkpoint.
 *
 * @returns differences that change no update but are worth telling: other intervals, another device.
 * @throws TrainingError "checkpoint-of-another-run" that lists all differences that do.
 */
export function requireSameRun(folder: string, checkpoint: RunIdentity, now: RunIdentity): IdentityDifference[] {
  const different = [...new Set([...Object.keys(checkpoint), ...Object.keys(now)])]
    .filter((name) => JSON.stringify(checkpoint[name]) !== JSON.stringify(now[name]))
    .map((name) => ({ name, checkpoint: checkpoint[name], now: now[name] }));
  const refused = different.filter(({ name }) => !mayDiffer.test(name));
  if (refused.length === 0) return different.filter(({ name }) => !unimportant.test(name));
  throw new TrainingError(
    "checkpoint-of-another-run",
    `${folder} belongs to another run: ${refused.map(showDifference).join("; ")}. Give what that run was given, or start a new run in another outputDir.`,
    { folder, differences: refused },
  );
}

/** `learningRate is 0.1 there and 0.2 here`. */
export function showDifference({ name, checkpoint, now }: IdentityDifference): string {
  if (typeof checkpoint === "string" && isHash.test(checkpoint)) return `${name} (hashed) are others here`;
  return `${name} is ${show(checkpoint)} there and ${show(now)} here`;
}

const isHash = /^sha256:/;

async function describeDataset(dataset: Dataset): Promise<Record<string, unknown>> {
  const looked = dataset.length <= wholeRows ? dataset.length : spreadRows;
  const digest = createHash("sha256");
  for (let start = 0; start < looked; start += rowsAtOnce) {
    const rows = Int32Array.from({ length: Math.min(rowsAtOnce, looked - start) }, (_, index) =>
      Math.floor(((start + index) * dataset.length) / looked),
    );
    for (const row of await dataset.readRows(rows)) digest.update(`${JSON.stringify(row)}\n`);
  }
  return { rows: dataset.length, columns: dataset.columnNames, texts: `sha256:${digest.digest("hex")}` };
}

function firstBatch(sampler: BatchSampler): Int32Array | undefined {
  for (const batch of sampler.batches(0)) return batch;
  return undefined;
}

function hash(value: unknown): string {
  return `sha256:${createHash("sha256").update(JSON.stringify(value)).digest("hex")}`;
}

function flatten(value: object, prefix = ""): Record<string, unknown> {
  const flat: Record<string, unknown> = {};
  for (const [name, entry] of Object.entries(value)) {
    if (typeof entry === "object" && entry !== null && !Array.isArray(entry))
      Object.assign(flat, flatten(entry, `${prefix}${name}.`));
    else if (entry !== undefined) flat[prefix + name] = entry;
  }
  return flat;
}

function show(value: unknown): string {
  if (value === undefined) return "not set";
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}
