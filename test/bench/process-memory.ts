import { readFileSync, writeFileSync } from "node:fs";
import { BenchmarkError } from "./errors.ts";

/** Memory of a process that lies in RAM, in bytes. */
export interface ProcessMemory {
  /** Now. */
  readonly resident: number;
  /** The most since the process began, or since `resetPeakMemory`. */
  readonly peak: number;
}

/**
 * Resident memory of this process, as Linux counts it (VmRSS and VmHWM in proc(5)).
 *
 * @throws BenchmarkError "memory-unavailable" on other systems
 */
export function readMemory(): ProcessMemory {
  let status: string;
  try {
    status = readFileSync("/proc/self/status", "utf8");
  } catch (cause) {
    throw new BenchmarkError(
      "memory-unavailable",
      `Peak memory is read from /proc/self/status, which this system (${process.platform}) does not have. Run the benchmark on Linux.`,
      { platform: process.platform },
      { cause },
    );
  }
  return { resident: field(status, "VmRSS"), peak: field(status, "VmHWM") };
}

/** Lets Linux forget the peak of this process; false where that is not allowed. */
export function resetPeakMemory(): boolean {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
    return true;
  } catch {
    // The caller reports it: the peak then includes loading the model.
    return false;
  }
}

function field(status: string, name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status);
  if (!found)
    throw new BenchmarkError("memory-unavailable", `/proc/self/status has no line ${name}: ${status.slice(0, 200)}`, {
      name,
    });
  return Number(found[1]) * 1024;
}
