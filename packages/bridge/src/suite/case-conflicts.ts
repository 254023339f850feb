import { type ConfigurationPath, EmbeddingBank, isMapping, OptionError, valueAt } from "@gradbank/core";
import { createCaseLoss } from "./case-loss.ts";
import type { CaseLoss } from "./resolved-case.ts";
import { dataKinds, modelKinds, randomModelFieldNames, type WrittenCase } from "./suite-schema.ts";

/** Two fields that do not go together. */
export interface CaseConflict {
  /** The field to change. */
  readonly path: ConfigurationPath;
  readonly message: string;
}

/** What is checked. */
export interface CheckedCase {
  readonly written: WrittenCase;
  /** The same without defaults: which fields were written at all. */
  readonly given: Readonly<Record<string, unknown>>;
  readonly loss: CaseLoss;
}

/** Finds all fields of a case that do not go together, each of which is right by itself. */
export function caseConflicts(checked: CheckedCase): CaseConflict[] {
  const loss = lossConflicts(checked);
  // The loss itself tells the first conflict only; those found here are told all.
  return [...modelConflicts(checked), ...dataConflicts(checked), ...(loss.length > 0 ? loss : refusals(checked.loss))];
}

function modelConflicts({ written: { model, dropout, maxSequenceLength }, given }: CheckedCase): CaseConflict[] {
  const written = isMapping(given.model) ? given.model : {};
  const named = modelKinds.filter((kind) => model[kind] !== undefined);
  if (named.length > 1) return [several("model", named)];
  const conflicts: CaseConflict[] = [];
  const [kind = "random"] = named;
  if (kind !== "random") {
    const extra = randomModelFieldNames.filter((name) => name in written);
    return extra.map((name) => ({
      path: ["model", name],
      message: `${name} belongs to a random model, but this one is ${kind}. Leave it out.`,
    }));
  }
  if (model.hiddenSize % model.heads !== 0)
    conflicts.push({
      path: ["model", "hiddenSize"],
      message: `hiddenSize is ${model.hiddenSize}, which is no multiple of the ${model.heads} heads.`,
    });
  if (dropout && model.dropout === 0)
    conflicts.push({
      path: ["dropout"],
      message: "dropout is true, but the model's dropout rate is 0. Raise the rate.",
    });
  const offset = ["roberta", "xlm-roberta", "mpnet"].includes(model.random ?? "bert") ? 2 : 0;
  const positions = model.maxPositionEmbeddings - offset;
  if (maxSequenceLength !== null && maxSequenceLength > positions)
    conflicts.push({
      path: ["maxSequenceLength"],
      message: `maxSequenceLength is ${maxSequenceLength}, but the model has ${positions} positions. Lower it, or raise model.maxPositionEmbeddings.`,
    });
  return conflicts;
}

function dataConflicts({ written: { data, columns, batchSize, lastBatch } }: CheckedCase): CaseConflict[] {
  const named = dataKinds.filter((kind) => data[kind] !== undefined);
  if (named.length > 1) return [several("data", named)];
  const conflicts: CaseConflict[] = [];
  const add = (path: ConfigurationPath, message: string) => conflicts.push({ path, message });
  if (data.columns && data.file === undefined)
    add(["data", "columns"], "columns names columns of a file, but there is no file. Leave it out.");
  else if (data.columns && data.columns.length !== columns)
    add(
      ["data", "columns"],
      `data.columns names ${data.columns.length} columns of the file, but columns is ${columns}. Make them equal.`,
    );
  if (data.wordNet && columns !== 2)
    add(["columns"], `columns is ${columns}, but WordNet has pairs. Leave it out, or take other data.`);
  const { lengths, rows } = data.texts ?? {};
  if (lengths && lengths[0] > lengths[1])
    add(["data", "texts", "lengths"], `lengths is [${lengths.join(", ")}]: the first may not exceed the second.`);
  if (rows !== undefined && rows < batchSize)
    add(["data", "texts", "rows"], `rows is ${rows}, but a batch has ${batchSize}. Raise it.`);
  if (lastBatch !== null && lastBatch >= batchSize)
    add(["lastBatch"], `lastBatch is ${lastBatch}; it must be less than batchSize, ${batchSize}.`);
  return conflicts;
}

function lossConflicts({ written, given, loss }: CheckedCase): CaseConflict[] {
  const conflicts: CaseConflict[] = [];
  const add = (option: string, message: string) => conflicts.push({ path: ["loss", ...option.split(".")], message });
  if (valueAt(given, ["loss", "scale"]) !== undefined && valueAt(given, ["loss", "temperature"]) !== undefined)
    add("temperature", "temperature is the reciprocal of scale; give one of the two.");
  if (loss.hardnessMode !== null && loss.hardnessStrength === 0)
    add("hardnessMode", `hardnessMode is ${loss.hardnessMode}, but hardnessStrength is 0. Set it above 0.`);
  if (loss.hardnessMode === "hard_negatives" && written.columns === 2)
    add(
      "hardnessMode",
      "hardnessMode is hard_negatives, but pairs have no column of negatives. Set columns to 3 or more.",
    );
  if (loss.bank?.compatibility === "pr-3612") {
    const unlike = (option: string) =>
      add(option, `pull request 3612 knows nothing of ${option}. Leave it out, or bank.compatibility.`);
    if (loss.directions.join() !== "query_to_doc") unlike("directions");
    if (loss.partitionMode !== "joint") unlike("partitionMode");
    if (loss.hardnessMode !== null) unlike("hardnessMode");
  }
  return conflicts;
}

/** What the bank and the loss themselves refuse. */
function refusals(loss: CaseLoss): CaseConflict[] {
  for (const [path, create] of [
    [["loss", "bank"], () => loss.bank && new EmbeddingBank(loss.bank)],
    [["loss"], () => createCaseLoss(loss)],
  ] as const) {
    try {
      create();
    } catch (error) {
      if (!(error instanceof OptionError)) throw error;
      return [{ path: [...path, String(error.facts.option)], message: error.message }];
    }
  }
  return [];
}

function several(group: "model" | "data", named: readonly string[]): CaseConflict {
  return { path: [group, named[1]!], message: `${group} names ${named.join(" and ")}; keep one of them.` };
}
