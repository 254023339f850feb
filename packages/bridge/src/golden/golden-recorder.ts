import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { writeWholeFolder } from "@gradbank/core";
import type { ReferenceSide } from "../lockstep/reference-side.ts";
import type { ResolvedCase, ResolvedSuite } from "../suite/resolved-case.ts";
import { GoldenError } from "./errors.ts";
import { describeModelFolder, type GoldenManifest, goldenVersion, hashFile } from "./golden-format.ts";
import { portableSettings } from "./portable-settings.ts";
import { RecordingSide } from "./recording-side.ts";

interface RecordedCase {
  readonly settings: ResolvedCase;
  readonly folder: string;
  readonly model: string;
  readonly side: RecordingSide;
}

/**
 * Records what a reference answers while a suite runs, so that it can be repeated where there is no Python.
 *
 * Everything goes to a temporary folder beside the target; `finish` gives it the target's name, whole or not at all.
 */
export class GoldenRecorder {
  readonly #target: string;
  readonly #temporary: string;
  readonly #suite: ResolvedSuite;
  readonly #cases: RecordedCase[] = [];

  private constructor(target: string, temporary: string, suite: ResolvedSuite) {
    this.#target = target;
    this.#temporary = temporary;
    this.#suite = suite;
  }

  /**
   * Begins a recording.
   *
   * @param folder where the golden folder is to be: a new folder, an empty one, or an older golden folder, which is then
   *   replaced.
   * @throws GoldenError "golden-target" when it holds something else.
   */
  static async open(folder: string, suite: ResolvedSuite): Promise<GoldenRecorder> {
    const target = resolve(folder);
    await checkTarget(target);
    await mkdir(dirname(target), { recursive: true });
    const temporary = await mkdtemp(join(dirname(target), `.${basename(target)}.recording-`));
    return new GoldenRecorder(target, temporary, suite);
  }

  /**
   * Puts a case's model into the recording, and a recorder before its reference.
   *
   * @returns the side to use in place of `side`; its `close` closes both.
   */
  async record(settings: ResolvedCase, modelFolder: string, side: ReferenceSide): Promise<RecordingSide> {
    const number = String(this.#cases.length + 1).padStart(3, "0");
    const slug = settings.name
      .replaceAll(/[^\w]+/g, "-")
      .replaceAll(/^-|-$/g, "")
      .slice(0, 60);
    const folder = `${number}-${slug}`;
    await mkdir(join(this.#temporary, "cases", folder), { recursive: true });
    const recording = new RecordingSide(side, join(this.#temporary, "cases", folder));
    this.#cases.push({ settings, folder, model: await this.#copyModel(modelFolder), side: recording });
    return recording;
  }

  /**
   * Writes the golden folder.
   *
   * @throws GoldenError "golden-unfinished", and writes nothing, when a case lacks steps or nothing was recorded;
   *   "golden-target" when something else came to lie there.
   */
  async finish(): Promise<void> {
    for (const { settings, side } of this.#cases) {
      await side.finish();
      if (side.steps < settings.steps)
        throw new GoldenError(
          "golden-unfinished",
          `Case ${JSON.stringify(settings.name)} was recorded for ${side.steps} of its ${settings.steps} steps; nothing was written to ${this.#target}. Let the suite run to its end.`,
          { case: settings.name, recorded: side.steps, expected: settings.steps },
        );
    }
    if (this.#cases.length === 0)
      throw new GoldenError("golden-unfinished", `No case was recorded; nothing was written to ${this.#target}.`);
    await writeFile(join(this.#temporary, "manifest.json"), `${JSON.stringify(await this.#manifest(), null, 2)}\n`);
    await checkTarget(this.#target);
    await writeWholeFolder(
      this.#target,
      async (folder) => {
        for (const entry of await readdir(this.#temporary))
          await rename(join(this.#temporary, entry), join(folder, entry));
      },
      { overwrite: true },
    );
    await this.discard();
  }

  /** Forgets the recording; the target stays as it was. May be called after `finish`. */
  async discard(): Promise<void> {
    await rm(this.#temporary, { recursive: true, force: true });
  }

  async #copyModel(modelFolder: string): Promise<string> {
    const { files, hash } = await describeModelFolder(modelFolder);
    const copy = join(this.#temporary, "models", hash);
    // Cases that share a model share its copy.
    if (await stat(copy).catch(() => undefined)) return hash;
    for (const file of files) {
      await mkdir(dirname(join(copy, file)), { recursive: true });
      await copyFile(join(modelFolder, file), join(copy, file));
    }
    return hash;
  }

  async #manifest(): Promise<GoldenManifest> {
    const settings = this.#suite.cases.map((one) => [one.name, portableSettings(one)]);
    const cases: GoldenManifest["cases"] = [];
    for (const { settings, folder, model } of this.#cases) {
      const files: Record<string, string> = {};
      for (const file of (await readdir(join(this.#temporary, "cases", folder))).sort())
        files[file] = await hashFile(join(this.#temporary, "cases", folder, file));
      cases.push({ name: settings.name, folder, model, settings: portableSettings(settings), files });
    }
    return {
      version: goldenVersion,
      suite: this.#suite.name,
      suiteHash: createHash("sha256").update(JSON.stringify(settings)).digest("hex"),
      environment: { ...this.#cases[0]!.side.configuration.environment },
      cases,
    };
  }
}

/** Only a golden folder may be replaced. */
async function checkTarget(target: string): Promise<void> {
  const entries = await readdir(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new GoldenError(
      "golden-target",
      `${target} is no folder that can be written (${error.code}). Choose another name for the golden folder.`,
      { folder: target },
      { cause: error },
    );
  });
  if (entries.length === 0) return;
  const manifest = await readFile(join(target, "manifest.json"), "utf8").catch(() => "");
  const others = entries.filter((entry) => !["manifest.json", "cases", "models"].includes(entry));
  if (manifest.includes('"suiteHash"') && others.length === 0) return;
  throw new GoldenError(
    "golden-target",
    `${target} holds ${(others.length > 0 ? others : entries).slice(0, 5).join(", ")}, which would be lost. Choose a new folder for the golden files.`,
    { folder: target, entries: others },
  );
}
