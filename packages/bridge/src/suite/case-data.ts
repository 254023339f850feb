import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  DataError,
  type Dataset,
  InMemoryDataset,
  loadDataset,
  loadWordNet,
  NoDuplicatesBatchSampler,
  resolveModelFolder,
  selectColumns,
} from "@gradbank/core";
import type { Reference } from "../reference/reference.ts";
import { madeUpTexts } from "./made-up-texts.ts";
import type { ResolvedCase } from "./resolved-case.ts";

/** Texts of a case: for each step its batches, for each batch its columns, for each column the texts of its rows. */
export type CaseSteps = readonly (readonly (readonly (readonly string[])[])[])[];

/** What both sides need to begin. */
export interface PreparedCase {
  readonly modelFolder: string;
  readonly steps: CaseSteps;
}

/**
 * Gets a case's texts and model.
 *
 * @param cacheFolder where random models are kept; made when it is missing.
 * @throws DataError for a file that cannot be read, or that has too few columns or rows; ModelFolderError for a model of
 *   the hub that cannot be had; BridgeError when Python cannot make a random model.
 */
export async function prepareCase(
  resolved: ResolvedCase,
  reference: Reference,
  cacheFolder: string,
): Promise<PreparedCase> {
  const steps = await caseSteps(resolved);
  return { steps, modelFolder: await caseModelFolder(resolved, steps, reference, cacheFolder) };
}

/**
 * Texts of a case, the same on every machine. A text stands once in a batch, as the no_duplicates sampler sees to it, but
 * may come back in later batches.
 *
 * @throws DataError for a file that cannot be read, or that has too few columns or rows.
 */
export async function caseSteps(resolved: ResolvedCase): Promise<CaseSteps> {
  const { batchSize, lastBatch, gradientAccumulationSteps, steps, seed } = resolved;
  const dataset = await openDataset(resolved);
  const sampler = await NoDuplicatesBatchSampler.create(dataset, { batchSize, seed });
  const batches = fullBatches(sampler, batchSize);
  const result: string[][][][] = [];
  for (let step = 1; step <= steps; step++) {
    const group: string[][][] = [];
    for (let batch = 1; batch <= gradientAccumulationSteps; batch++) {
      const endsPass = batch === gradientAccumulationSteps && (step === Math.ceil(steps / 2) || step === steps);
      const rows = batches.next().value;
      if (!rows) throw tooFewRows(resolved, dataset.length);
      const texts = await dataset.readRows(endsPass && lastBatch !== null ? rows.subarray(0, lastBatch) : rows);
      group.push(dataset.columnNames.map((_, column) => texts.map((row) => row[column]!)));
    }
    result.push(group);
  }
  return result;
}

/**
 * The model of a case. Random models are made by Python once and then kept under a name that says what they are.
 *
 * @throws as `prepareCase`.
 */
export async function caseModelFolder(
  { model, data }: ResolvedCase,
  steps: CaseSteps,
  reference: Reference,
  cacheFolder: string,
): Promise<string> {
  switch (model.kind) {
    case "folder":
      return model.folder;
    case "hub":
      return resolveModelFolder(model.name);
    case "pretrained":
      return reference.minilmFolder();
    case "random": {
      const { kind: _, ...options } = model;
      // Made-up texts share their words: a tokenizer that knows them serves all cases.
      const texts =
        data.kind === "texts"
          ? madeUpTexts({ ...data, seed: 0, repeats: 0 }, { rows: 200, columns: 1 }).flat()
          : [...new Set(steps.flat(3))].slice(0, 1000);
      const hash = createHash("sha256")
        .update(JSON.stringify([options, texts]))
        .digest("hex")
        .slice(0, 16);
      const folder = join(cacheFolder, `${model.architecture}-${hash}`);
      await mkdir(cacheFolder, { recursive: true });
      await reference.makeModel({ ...options, folder, texts });
      return folder;
    }
  }
}

async function openDataset({
  data,
  columns,
  batchSize,
  gradientAccumulationSteps,
  steps,
}: ResolvedCase): Promise<Dataset> {
  const names = ["anchor", "positive", ...Array.from({ length: columns - 2 }, (_, index) => `negative_${index + 1}`)];
  switch (data.kind) {
    case "texts": {
      const rows = data.rows ?? batchSize * gradientAccumulationSteps * steps;
      return InMemoryDataset.fromRows(names, madeUpTexts(data, { rows, columns }));
    }
    case "wordNet":
      return loadWordNet();
    case "file": {
      const dataset = await loadDataset(data.file, data.columns ? { columns: data.columns } : {});
      if (dataset.columnNames.length >= columns) return selectColumns(dataset, dataset.columnNames.slice(0, columns));
      throw new DataError(
        "missing-column",
        `${data.file} has ${dataset.columnNames.length} columns (${dataset.columnNames.join(", ")}), but the case asks for ${columns}. Lower columns, or take another file.`,
        { path: data.file, columns: dataset.columnNames, expected: columns },
      );
    }
  }
}

/** Full batches of one pass after another; ends when a pass has none. */
function* fullBatches(sampler: NoDuplicatesBatchSampler, batchSize: number): Generator<Int32Array, undefined> {
  for (let epoch = 0; ; epoch++) {
    let found = false;
    for (const rows of sampler.batches(epoch)) {
      if (rows.length < batchSize) continue;
      found = true;
      yield rows;
    }
    if (!found) return undefined;
  }
}

function tooFewRows({ name, data, batchSize }: ResolvedCase, rows: number): DataError {
  const source = data.kind === "file" ? data.file : data.kind;
  return new DataError(
    "too-few-rows",
    `Case ${JSON.stringify(name)}: the ${rows} rows of ${source} give no batch of ${batchSize} rows in which every text stands once. Lower batchSize, or give more rows with other texts.`,
    { case: name, rows, batchSize },
  );
}
