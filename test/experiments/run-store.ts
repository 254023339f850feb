import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeResults } from "../bench/results-file.ts";
import { ExperimentError } from "./errors.ts";
import type { RunResult } from "./run-result.ts";

/** Kept results, one file a run: an experiment that was interrupted goes on where it stopped. */
export class RunStore {
  readonly #folder: string;

  /** @param folder made when the first result is kept */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** File of a run. */
  path(arm: string, seed: number): string {
    return join(this.#folder, `${arm}-seed-${seed}.json`);
  }

  /**
   * A kept result; undefined when there is none, or when it belongs to other settings.
   *
   * @throws ExperimentError "invalid-run-file"
   */
  async read(arm: string, seed: number, settings: string): Promise<RunResult | undefined> {
    const path = this.path(arm, seed);
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    let result: RunResult;
    try {
      result = JSON.parse(text) as RunResult;
    } catch (cause) {
      throw new ExperimentError(
        "invalid-run-file",
        `${path} is no JSON (${(cause as Error).message}); results are written whole, so it was changed by hand. Delete it, or use --fresh.`,
        { path },
        { cause },
      );
    }
    return result.version === 1 && result.settings === settings ? result : undefined;
  }

  /** Keeps a result; the file appears whole or not at all. */
  async write(result: RunResult): Promise<void> {
    await writeResults(this.path(result.arm, result.seed), result);
  }
}
