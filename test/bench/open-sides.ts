import { constants } from "node:os";
import type { Side } from "./side.ts";

const open = new Set<Side>();
let isEnding = false;

/** Whether a signal has asked for the end: errors of processes that were closed for it tell nothing. */
export function isInterrupted(): boolean {
  return isEnding;
}

/** Lets work have a process, and ends the process after it, however it went. */
export async function withSide<Opened extends Side, Result>(
  start: () => Promise<Opened>,
  work: (side: Opened) => Promise<Result>,
): Promise<Result> {
  const side = await start();
  open.add(side);
  try {
    return await work(side);
  } finally {
    await side.close();
    open.delete(side);
  }
}

/** Makes Ctrl-C and other requests to end close the processes first. */
export function closeSidesOnSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => {
      // Under npm one Ctrl-C arrives twice: from the terminal and from npm.
      if (isEnding) return;
      isEnding = true;
      process.stderr.write("\nInterrupted: no results were written.\n");
      void Promise.allSettled([...open].map((side) => side.close())).then(() =>
        process.exit(128 + constants.signals[signal]),
      );
    });
}
