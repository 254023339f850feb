import { basename } from "node:path";
import type { ResolvedCase } from "../suite/resolved-case.ts";

/** Settings of a case as JSON, without what has no effect on the reference and without this machine's paths. */
export type PortableSettings = Readonly<Record<string, unknown>>;

/** What a golden folder keeps of a case's settings, to tell whether it fits. Of paths it keeps the last part. */
export function portableSettings(settings: ResolvedCase): PortableSettings {
  const { name: _, description: __, limits: ___, model, data, reference, ...others } = settings;
  const portable = {
    ...others,
    model: model.kind === "folder" ? { ...model, folder: basename(model.folder) } : model,
    data: data.kind === "file" ? { ...data, file: basename(data.file) } : data,
    reference: "file" in reference ? { ...reference, file: basename(reference.file) } : reference,
  };
  return JSON.parse(JSON.stringify(portable)) as PortableSettings;
}

/** One field with two values; undefined where a side does not have it. */
export interface SettingDifference {
  /** Names with dots. */
  readonly path: string;
  readonly recorded: unknown;
  readonly wanted: unknown;
}

/** All fields in which two settings differ, the innermost ones. */
export function settingDifferences(recorded: unknown, wanted: unknown, path = ""): SettingDifference[] {
  if (!isObject(recorded) || !isObject(wanted))
    return JSON.stringify(recorded) === JSON.stringify(wanted) ? [] : [{ path, recorded, wanted }];
  const names = [...new Set([...Object.keys(recorded), ...Object.keys(wanted)])];
  return names.flatMap((name) => settingDifferences(recorded[name], wanted[name], path ? `${path}.${name}` : name));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
