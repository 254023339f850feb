import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { GradbankError, TrainingError } from "../errors.ts";
import { recoverWholeFolder, removeWholeFolder, tidyWholeFolders } from "../model-folder/whole-folder.ts";
import { type Checkpoint, readCheckpoint } from "./checkpoint.ts";
import { type IdentityDifference, type RunIdentity, requireSameRun } from "./run-identity.ts";

const checkpointName = /^checkpoint-(\d+)$/;

/** A folder with the name of a checkpoint, whole or not. */
export interface CheckpointFolder {
  /** Updates done, by its name. */
  readonly step: number;
  readonly folder: string;
}

/** Why a checkpoint was passed over. */
export interface DamagedCheckpoint {
  readonly folder: string;
  readonly message: string;
}

/** `<outputDir>/checkpoint-<step>`. */
export function checkpointFolder(outputDir: string, step: number): string {
  return join(outputDir, `checkpoint-${step}`);
}

/** The checkpoints of a folder by step, the earliest first. */
export async function listCheckpoints(outputDir: string): Promise<CheckpointFolder[]> {
  const entries = await readdir(outputDir, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return [];
    throw cause;
  });
  return entries
    .filter((entry) => entry.isDirectory() && checkpointName.test(entry.name))
    .map(({ name }) => ({ step: Number(checkpointName.exec(name)![1]), folder: join(outputDir, name) }))
    .sort((a, b) => a.step - b.step);
}

/** Removes what a killed run left half written, and puts back what it was about to replace. */
export async function tidyCheckpoints(outputDir: string): Promise<void> {
  await tidyWholeFolders(outputDir, checkpointName);
}

/**
 * Reads the checkpoint to go on from.
 *
 * @param from its folder, or true for the newest whole one of this run in `outputDir`.
 * @returns the checkpoint; newer ones that were passed over because they are damaged; and in what it differs from this run
 *   without changing an update.
 * @throws TrainingError "checkpoint-damaged" when the folder that was named is, "no-checkpoint" when there is none,
 *   "checkpoint-of-another-run" when there are only such.
 */
export async function findCheckpoint(
  outputDir: string,
  from: true | string,
  identity: RunIdentity,
): Promise<{
  readonly checkpoint: Checkpoint;
  readonly damaged: readonly DamagedCheckpoint[];
  readonly differences: readonly IdentityDifference[];
}> {
  await tidyCheckpoints(outputDir);
  if (from !== true) {
    await recoverWholeFolder(from);
    const checkpoint = await readCheckpoint(from);
    return { checkpoint, damaged: [], differences: requireSameRun(from, checkpoint.state.identity, identity) };
  }
  const damaged: DamagedCheckpoint[] = [];
  let ofAnotherRun: GradbankError | undefined;
  for (const { folder } of (await listCheckpoints(outputDir)).reverse()) {
    try {
      const checkpoint = await readCheckpoint(folder);
      return { checkpoint, damaged, differences: requireSameRun(folder, checkpoint.state.identity, identity) };
    } catch (error) {
      if (!GradbankError.isInstance(error)) throw error;
      if (error.code === "checkpoint-damaged") damaged.push({ folder, message: error.message });
      else if (error.code === "checkpoint-of-another-run") ofAnotherRun ??= error;
      else throw error;
    }
  }
  if (ofAnotherRun) throw ofAnotherRun;
  throw new TrainingError(
    "no-checkpoint",
    damaged.length === 0
      ? `There is no checkpoint in ${outputDir} to resume from. Start the run without resumeFromCheckpoint.`
      : `No checkpoint in ${outputDir} is whole: ${damaged.map(({ message }) => message).join(" ")} Start the run without resumeFromCheckpoint.`,
    { outputDir, damaged },
  );
}

/**
 * Deletes the oldest of a run's checkpoints until `limit` are left, as transformers' `rotate_checkpoints`: never the one of
 * `step` nor the best one. Checkpoints that another run left in the folder stay.
 *
 * @param saved steps of the run's checkpoints; some may be deleted already.
 */
export async function rotateCheckpoints(
  outputDir: string,
  saved: ReadonlySet<number>,
  { limit, step, best }: { readonly limit: number; readonly step: number; readonly best: number | undefined },
): Promise<void> {
  const checkpoints = (await listCheckpoints(outputDir)).filter((checkpoint) => saved.has(checkpoint.step));
  const deletable = checkpoints.filter((checkpoint) => checkpoint.step !== step && checkpoint.step !== best);
  const surplus = Math.max(0, checkpoints.length - Math.max(limit, checkpoints.length - deletable.length));
  for (const { folder } of deletable.slice(0, surplus)) await removeWholeFolder(folder);
}
