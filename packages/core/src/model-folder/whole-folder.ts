import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, realpath, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { ModelFolderError } from "../errors.ts";

export type WholeFolderOptions = {
  /**
   * Replaces a folder even when it holds files that are not part of a model; they are lost with it.
   * @default false
   */
  readonly overwrite?: boolean;
};

/** What a model folder may hold; anything else would be lost when the folder is replaced, so it is asked about first. */
const modelFile =
  /^(?:.*\.(?:json|safetensors|model|jinja)|(?:vocab|merges)\.txt|bpe\.codes|README\.md|LICENSE(?:\..*)?|\.git(?:attributes|ignore)|pytorch_model.*\.bin|\d+_[A-Za-z]+|onnx|openvino)$/;
const modelMarks = ["modules.json", "config_sentence_transformers.json", "config.json"];

/** Milliseconds after which another machine's leftover counts as abandoned: writing takes long, the two renames do not. */
const abandonedAfter = { incomplete: 86_400_000, replaced: 60_000 };

const host = hostname().replaceAll(/[^\w-]/g, "_") || "host";
const inUse = new Set<string>();

/**
 * Writes a folder as a whole: it appears, or replaces the one before it, only when it is complete and on disk.
 *
 * `write` fills a temporary folder beside the target (`.<name>.gradbank-<host>-<process>-<random>.incomplete`). Its files are
 * flushed to disk, an older target is moved aside, the new folder takes its name, and the older one is removed. When
 * anything fails, the target stays as it was and the temporary folder is removed; what a killed process left is removed or,
 * if it died between the two renames, put back the next time.
 *
 * @param target Folder to write. Its parents are made.
 * @param write Writes the content into the folder that it is given.
 * @throws ModelFolderError `target-is-file`, `target-not-a-model`, `target-holds-other-files`; `disk-full` or `not-writable`
 *   when the system refuses. What `write` throws is thrown on.
 */
export async function writeWholeFolder(
  target: string,
  write: (temporary: string) => Promise<void>,
  options: WholeFolderOptions = {},
): Promise<void> {
  await recoverWholeFolder(target);
  // A link stays a link: what it points to is replaced.
  const path = await realpath(target).catch(() => resolve(target));
  const parent = dirname(path);
  await checkTarget(target, path, options.overwrite ?? false);
  const stem = `.${basename(path)}.gradbank-${host}-${process.pid}-${randomBytes(6).toString("hex")}`;
  const temporary = join(parent, `${stem}.incomplete`);
  const aside = join(parent, `${stem}.replaced`);
  inUse.add(stem);
  try {
    await mkdir(parent, { recursive: true });
    await removeLeftovers(parent, basename(path));
    await mkdir(temporary);
    await write(temporary);
    await flush(temporary);
    // Writing takes long: meanwhile the target may have been made, or filled with other things.
    const existing = await checkTarget(target, path, options.overwrite ?? false);
    if (existing) await rename(path, aside);
    try {
      await rename(temporary, path);
    } catch (cause) {
      if (existing) await rename(aside, path);
      throw cause;
    }
    await flushEntry(parent);
    if (existing) await rm(aside, { recursive: true, force: true });
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true });
    throw explained(cause, target);
  } finally {
    inUse.delete(stem);
  }
}

/**
 * Puts a folder back that `writeWholeFolder` had moved aside when its process was killed. Does nothing when the target
 * exists or nothing was moved aside.
 *
 * @param target The folder that may be missing.
 */
export async function recoverWholeFolder(target: string): Promise<void> {
  const path = resolve(target);
  if (await exists(path)) return;
  const entries = await leftovers(dirname(path), basename(path));
  const aside = entries.find(({ kind, alive }) => kind === "replaced" && !alive);
  if (aside !== undefined) await rename(aside.path, path);
}

/**
 * Does for all folders of some names what `writeWholeFolder` does for its target: puts back what a killed process had
 * moved aside, and removes what it had not completed.
 *
 * @param parent Folder that holds them; it may be missing.
 * @param names Matches the whole name of each folder.
 */
export async function tidyWholeFolders(parent: string, names: RegExp): Promise<void> {
  const found = new Set<string>();
  for (const entry of await readdir(parent).catch(() => [] as string[])) {
    const name = /^\.(.+)\.gradbank-.*\.(?:incomplete|replaced)$/.exec(entry)?.[1];
    if (name !== undefined && names.test(name)) found.add(name);
  }
  for (const name of found) {
    await recoverWholeFolder(join(parent, name));
    await removeLeftovers(parent, name);
  }
}

/** Removes a folder so that it is gone as a whole at once: a process that is killed meanwhile leaves no half of it. */
export async function removeWholeFolder(target: string): Promise<void> {
  const path = resolve(target);
  const stem = `.${basename(path)}.gradbank-${host}-${process.pid}-${randomBytes(6).toString("hex")}`;
  const aside = join(dirname(path), `${stem}.incomplete`);
  inUse.add(stem);
  try {
    await rename(path, aside);
    await rm(aside, { recursive: true, force: true });
  } finally {
    inUse.delete(stem);
  }
}

async function checkTarget(target: string, path: string, overwrite: boolean): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return false;
  if (!found.isDirectory()) {
    throw new ModelFolderError("target-is-file", `${target} is a file; a model needs a folder. Choose another name.`, {
      folder: target,
    });
  }
  const entries = await readdir(path);
  if (overwrite || entries.length === 0) return true;
  if (!entries.some((entry) => modelMarks.includes(entry))) {
    throw new ModelFolderError(
      "target-not-a-model",
      `${target} is a folder with other content (${listed(entries)}), not a model. Choose another folder, or pass overwrite: true ` +
        "to have it replaced.",
      { folder: target, entries },
    );
  }
  const others = entries.filter((entry) => !modelFile.test(entry));
  if (others.length > 0) {
    throw new ModelFolderError(
      "target-holds-other-files",
      `${target} holds, beside a model, ${listed(others)}, which would be lost when the model is replaced. Choose another folder, move ` +
        "them away, or pass overwrite: true.",
      { folder: target, entries: others },
    );
  }
  return true;
}

function listed(entries: readonly string[]): string {
  return entries.slice(0, 5).join(", ") + (entries.length > 5 ? ` and ${entries.length - 5} more` : "");
}

type Leftover = { readonly path: string; readonly kind: "incomplete" | "replaced"; readonly alive: boolean };

async function leftovers(parent: string, name: string): Promise<Leftover[]> {
  const start = `.${name}.gradbank-`;
  const found: Leftover[] = [];
  for (const entry of await readdir(parent).catch(() => [] as string[])) {
    const match = entry.startsWith(start)
      ? /^(.*)-(\d+)-[0-9a-f]{12}\.(incomplete|replaced)$/.exec(entry.slice(start.length))
      : null;
    if (match === null) continue;
    const [, machine, id, kind] = match as unknown as [string, string, string, "incomplete" | "replaced"];
    const path = join(parent, entry);
    const stem = entry.slice(0, -(kind.length + 1));
    const alive =
      machine === host
        ? inUse.has(stem) || (Number(id) !== process.pid && isRunning(Number(id)))
        : await isRecent(path, abandonedAfter[kind]);
    found.push({ path, kind, alive });
  }
  return found;
}

async function removeLeftovers(parent: string, name: string): Promise<void> {
  for (const { path, alive } of await leftovers(parent, name)) {
    if (!alive) await rm(path, { recursive: true, force: true });
  }
}

function isRunning(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (cause) {
    // EPERM: it runs, as another user.
    return (cause as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function isRecent(path: string, milliseconds: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.ctimeMs < milliseconds;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function flush(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await flush(path);
    else await flushEntry(path);
  }
  await flushEntry(folder);
}

async function flushEntry(path: string): Promise<void> {
  const handle = await open(path, "r").catch((cause: NodeJS.ErrnoException) => {
    // Windows opens no folders; there the rename itself is what reaches the disk.
    if (process.platform === "win32") return undefined;
    throw cause;
  });
  if (handle === undefined) return;
  try {
    await handle.sync();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code !== "EINVAL" && code !== "EPERM" && code !== "ENOTSUP") throw cause;
  } finally {
    await handle.close();
  }
}

function explained(cause: unknown, target: string): unknown {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new ModelFolderError(
      "disk-full",
      `There is no room on the disk to write ${target} (${code}); what was there before is untouched. Free some space, or choose ` +
        "a folder on another disk.",
      { folder: target, reason: code },
      { cause },
    );
  }
  if (code === "EACCES" || code === "EROFS" || code === "EPERM") {
    return new ModelFolderError(
      "not-writable",
      `${target} cannot be written (${code}: ${(cause as Error).message}). Choose a folder in which this user may write.`,
      { folder: target, reason: code },
      { cause },
    );
  }
  return cause;
}
