import type { FileHandle } from "node:fs/promises";

/**
 * Writes all bytes at the handle's position; a single call to the system may write fewer, and none may ask for 2 GiB.
 *
 * @throws The system's error, for instance with code ENOSPC on a full disk.
 */
export async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(bytes.length - done, 1 << 30));
    done += bytesWritten;
  }
}
