import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type CaseSteps, caseSteps } from "../suite/case-data.ts";
import type { ResolvedCase } from "../suite/resolved-case.ts";
import { GoldenError } from "./errors.ts";
import {
  type CaseRecord,
  describeModelFolder,
  type GoldenManifest,
  goldenVersion,
  manifestSchema,
} from "./golden-format.ts";
import { checkFile, GoldenSide } from "./golden-side.ts";
import { portableSettings, settingDifferences } from "./portable-settings.ts";

/** A case that is ready to be compared with what was recorded. */
export interface ReplayedCase {
  readonly modelFolder: string;
  readonly steps: CaseSteps;
  readonly side: GoldenSide;
}

/**
 * Opens a golden folder.
 *
 * @throws GoldenError "golden-missing" when there is none; "golden-damaged" when its manifest cannot be read or is of
 *   another version.
 */
export async function openGolden(folder: string): Promise<Golden> {
  const path = join(resolve(folder), "manifest.json");
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw new GoldenError(
      "golden-missing",
      `${path} cannot be read (${cause.code}): ${folder} is no golden folder. Make one with --export-golden where there is Python.`,
      { folder },
      { cause },
    );
  });
  let content: { version?: unknown };
  try {
    content = Object(JSON.parse(text));
  } catch (cause) {
    throw damaged(path, (cause as Error).message, { cause });
  }
  if (content.version !== goldenVersion)
    throw damaged(
      path,
      `it is of version ${JSON.stringify(content.version)}; this gradbank reads version ${goldenVersion}`,
    );
  const result = manifestSchema.safeParse(content);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw damaged(path, `${issue!.path.join(".")}: ${issue!.message}`, { cause: result.error });
  }
  return new Golden(resolve(folder), result.data);
}

/** What a reference answered in a suite's run. */
export class Golden {
  readonly folder: string;
  readonly manifest: GoldenManifest;

  /** Use `openGolden`. */
  constructor(folder: string, manifest: GoldenManifest) {
    this.folder = folder;
    this.manifest = manifest;
  }

  /**
   * Checks that cases were recorded with the settings that they have now.
   *
   * @throws GoldenError "golden-missing" with the cases that were not recorded, or "golden-mismatch" with all that differs.
   */
  check(cases: readonly ResolvedCase[]): void {
    const missing = cases.filter(({ name }) => !this.#entry(name)).map(({ name }) => name);
    if (missing.length > 0)
      throw new GoldenError(
        "golden-missing",
        `${this.folder} holds no case ${missing.map((name) => JSON.stringify(name)).join(", ")}; it holds ${this.manifest.cases.map(({ name }) => JSON.stringify(name)).join(", ")}. Record it again with --export-golden.`,
        { folder: this.folder, missing },
      );
    const differences = cases.flatMap((settings) =>
      settingDifferences(this.#entry(settings.name)!.settings, portableSettings(settings)).map((difference) => ({
        case: settings.name,
        ...difference,
      })),
    );
    if (differences.length === 0) return;
    const lines = differences.map(
      ({ case: name, path, recorded, wanted }) =>
        `case ${JSON.stringify(name)}: ${path} is ${JSON.stringify(wanted)}, recorded was ${JSON.stringify(recorded)}`,
    );
    throw new GoldenError(
      "golden-mismatch",
      `${this.folder} was recorded with other settings than the suite has now: ${lines.join("; ")}. Record it again with --export-golden, or take the settings back.`,
      { folder: this.folder, differences },
    );
  }

  /**
   * Makes a case ready: its model and texts, and the side that repeats the reference. Needs no Python.
   *
   * @throws GoldenError as `check`, and "golden-damaged" when a file is not as it was written.
   */
  async prepare(settings: ResolvedCase): Promise<ReplayedCase> {
    this.check([settings]);
    const { name, folder, model, files } = this.#entry(settings.name)!;
    const modelFolder = join(this.folder, "models", model);
    const { hash } = await describeModelFolder(modelFolder).catch((cause: Error) => {
      throw damaged(modelFolder, cause.message, { cause });
    });
    if (hash !== model) throw damaged(modelFolder, `the hash of its files is ${hash}`);
    const caseFolder = join(this.folder, "cases", folder);
    await checkFile(join(caseFolder, "case.json"), files["case.json"]!);
    const record = JSON.parse(await readFile(join(caseFolder, "case.json"), "utf8")) as CaseRecord;
    const side = new GoldenSide({ name, folder: caseFolder, record, files });
    return { modelFolder, steps: await caseSteps(settings), side };
  }

  #entry(name: string): GoldenManifest["cases"][number] | undefined {
    return this.manifest.cases.find((one) => one.name === name);
  }
}

function damaged(path: string, what: string, options?: ErrorOptions): GoldenError {
  return new GoldenError(
    "golden-damaged",
    `${path} cannot be used: ${what}. Copy or record the golden folder again.`,
    { path },
    options,
  );
}
