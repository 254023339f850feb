import { resolve } from "node:path";
import type { ConfigurationPath, EmbeddingBankOptions } from "@gradbank/core";
import type { LockstepReferenceLoss } from "../lockstep/python-side.ts";
import { snakeCaseKeys } from "../reference/snake-case.ts";
import { fittingReference } from "./case-loss.ts";
import type { CaseData, CaseLoss, CaseModel, ResolvedCase } from "./resolved-case.ts";
import { textsSchema, type WrittenCase } from "./suite-schema.ts";

/** The folder that a path at a place of the case is seen from. */
export type FolderOfPath = (path: ConfigurationPath) => string;

/** Settles a case that has no conflicts: kinds of model and data, absolute paths, the reference. */
export function resolveCase(written: WrittenCase, loss: CaseLoss, folderOfPath: FolderOfPath): ResolvedCase {
  const { data, columns, limits, ...plain } = written;
  return {
    ...plain,
    columns,
    model: resolveModel(written.model, folderOfPath),
    data: resolveData(data, folderOfPath),
    loss,
    reference: resolveReference(written.reference, loss, folderOfPath),
    limits: withoutUndefined(limits),
  };
}

/** Settles the options of our loss. */
export function resolveLoss({ scale, temperature, bank, ...plain }: WrittenCase["loss"]): CaseLoss {
  return {
    ...plain,
    scale: scale ?? (temperature === undefined ? 20 : 1 / temperature),
    // A bank without capacity is refused by the bank itself (case-conflicts.ts).
    bank: bank && (withoutUndefined(bank) as EmbeddingBankOptions),
  };
}

function resolveModel(model: WrittenCase["model"], folderOfPath: FolderOfPath): CaseModel {
  const { random = "bert", folder, hub, pretrained, ...options } = model;
  if (folder !== undefined) return { kind: "folder", folder: resolve(folderOfPath(["model", "folder"]), folder) };
  if (hub !== undefined) return { kind: "hub", name: hub };
  if (pretrained !== undefined) return { kind: "pretrained", name: pretrained };
  return { kind: "random", architecture: random, ...options };
}

function resolveData(data: WrittenCase["data"], folderOfPath: FolderOfPath): CaseData {
  const { texts, file, columns = null, wordNet } = data;
  if (file !== undefined) return { kind: "file", file: resolve(folderOfPath(["data", "file"]), file), columns };
  if (wordNet) return { kind: "wordNet" };
  const { rows = null, ...options } = texts ?? textsSchema.parse({});
  return { kind: "texts", ...options, rows };
}

function resolveReference(
  { class: name, options }: WrittenCase["reference"],
  loss: CaseLoss,
  folderOfPath: FolderOfPath,
): LockstepReferenceLoss {
  const fitting = fittingReference(loss);
  if (name === undefined || name === fitting.class)
    return { ...fitting, options: { ...fitting.options, ...snakeCaseKeys(options ?? {}) } };
  const colon = name.lastIndexOf(":");
  if (colon >= 0) {
    const file = resolve(folderOfPath(["reference", "class"]), name.slice(0, colon));
    return { file, class: name.slice(colon + 1), options: options ?? {} };
  }
  return { class: name as BuiltInClass, options: snakeCaseKeys(options ?? {}) };
}

type BuiltInClass = Exclude<LockstepReferenceLoss, { file: string }>["class"];

/** The same without the fields that are undefined. */
function withoutUndefined<T extends object>(value: T): { [Name in keyof T]: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as never;
}
