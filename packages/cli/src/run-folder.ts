import { constants } from "node:fs";
import { access, mkdir, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { CommandError } from "./errors.ts";

/** What lies where in the folder of a run. */
export interface RunFolder {
  readonly folder: string;
  /** The trainer's event log. */
  readonly events: string;
  /** Folder of the report about the comparison with Python. */
  readonly parity: string;
  /** The evaluator's results. */
  readonly evaluations: string;
  /** The trained model. */
  readonly model: string;
}

const parityReports = ["report.html", "report.json", "junit.xml"];
const modelMarks = ["modules.json", "config.json"];

/**
 * Makes the folder of a new run, or makes room in that of a former one: its events, comparison and evaluations are
 * removed, so that two runs do not mix; its model stays until the new one takes its place, because it may be what is
 * trained. Nothing else in the folder is touched.
 *
 * @throws CommandError "output-folder-unusable" when the folder cannot be made or written to, or when what stands where
 *   events or model belong is not a former run's.
 */
export async function prepareRunFolder(folder: string): Promise<RunFolder> {
  const run: RunFolder = {
    folder,
    events: join(folder, "events.jsonl"),
    parity: join(folder, "parity"),
    evaluations: join(folder, "eval"),
    model: join(folder, "model"),
  };
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
  } catch (cause) {
    throw unusable(folder, `it cannot be written to (${(cause as Error).message})`, cause);
  }
  await requireModelOrNothing(run);
  const first = await firstLine(run);
  if (first === undefined) return run;
  if (!isRunStart(first))
    throw unusable(folder, `${run.events} does not begin as a run's event log does, so it is not replaced`);
  const reports = parityReports.map((name) => join(run.parity, name));
  for (const file of [run.events, ...reports, ...(await formerEvaluations(run))]) await rm(file, { force: true });
  return run;
}

/** Where nothing can be saved in the end, nothing should be trained first. */
async function requireModelOrNothing({ folder, model }: RunFolder): Promise<void> {
  const entries = await readdir(model).catch((cause: NodeJS.ErrnoException): string[] => {
    if (cause.code === "ENOENT") return [];
    throw unusable(
      folder,
      `${model}, where the model belongs, is no folder that can be read (${cause.message})`,
      cause,
    );
  });
  if (entries.length === 0 || modelMarks.some((mark) => entries.includes(mark))) return;
  throw unusable(folder, `${model}, where the model belongs, holds other files (${entries.slice(0, 3).join(", ")})`);
}

/** The beginning of the event log; undefined when there is none, or an empty one. */
async function firstLine({ folder, events }: RunFolder): Promise<string | undefined> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(events, "r");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw unusable(folder, `${events} cannot be read (${(cause as Error).message})`, cause);
  }
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(65_536), 0, 65_536, 0);
    return bytesRead === 0 ? undefined : buffer.toString("utf8", 0, bytesRead).split("\n", 1)[0]!;
  } catch (cause) {
    throw unusable(folder, `${events} cannot be read (${(cause as Error).message})`, cause);
  } finally {
    await file.close();
  }
}

function isRunStart(line: string): boolean {
  try {
    const event: unknown = JSON.parse(line);
    return typeof event === "object" && event !== null && (event as { type?: unknown }).type === "run-start";
  } catch {
    // Not JSON: not an event.
    return false;
  }
}

async function formerEvaluations({ evaluations }: RunFolder): Promise<string[]> {
  const entries = await readdir(evaluations).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT" || cause.code === "ENOTDIR") return [];
    throw cause;
  });
  return entries
    .filter((entry) => /^Information-Retrieval_evaluation_.*results\.csv$/.test(entry))
    .map((entry) => join(evaluations, entry));
}

function unusable(folder: string, reason: string, cause?: unknown): CommandError {
  return new CommandError(
    "output-folder-unusable",
    `The output folder ${folder} cannot be used: ${reason}. Choose another one with --output-dir.`,
    { folder },
    { cause },
  );
}
