import { GradbankError } from "@gradbank/core";
import { closeSidesOnSignals, isInterrupted } from "./open-sides.ts";

/** Runs a command of this folder: a signal closes its processes first, an error becomes a message and exit status 1. */
export async function runCommand(command: () => Promise<void>): Promise<void> {
  closeSidesOnSignals();
  try {
    await command();
  } catch (error) {
    // Requests of processes that were closed on a signal fail, and tell nothing new.
    if (isInterrupted()) return;
    if (GradbankError.isInstance(error)) process.stderr.write(`${error.name}: ${error.message}\n`);
    else console.error(error);
    process.exitCode = 1;
  }
}
