import { randomUUID } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { BridgeError } from "../errors.ts";

/**
 * Writes a text file whole or not at all: under another name beside its place, then moved there. A file that is there
 * already stays until then. The folder is made if need be.
 *
 * @throws BridgeError `report-not-written` when the disk refuses.
 */
export async function writeWholeFile(path: string, text: string): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomUUID()}.tmp`);
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(temporary, "wx");
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {
      // The first error says more than a leftover that cannot be removed.
    });
    const message = `${path} could not be written: ${cause instanceof Error ? cause.message : String(cause)}. Make room, or name another folder.`;
    throw new BridgeError("report-not-written", message, { path }, { cause });
  }
}
