import { readFileSync } from "node:fs";
import { cpus } from "node:os";

/** Milliseconds that processors have been busy, all of them together, and that a process has used of them. */
interface Use {
  readonly time: number;
  readonly busy: number;
  readonly own: number;
}

// The unit of times in /proc/<pid>/stat is fixed at 10 ms for programs (proc(5), sysconf(_SC_CLK_TCK)).
const tick = 10;

/**
 * Watches how much of the machine other programs use: timings of a busy machine are worth little.
 *
 * @param processId the process whose own use is not counted
 * @returns a function that says, when called, which share of all processors others have used since (0 to 1);
 *   undefined where the system does not tell
 */
export function watchOtherPrograms(processId: number): () => number | undefined {
  const before = readUse(processId);
  return () => {
    const after = readUse(processId);
    if (!before || !after) return undefined;
    const available = (after.time - before.time) * cpus().length;
    const others = after.busy - before.busy - (after.own - before.own);
    return Math.min(1, Math.max(0, others / available));
  };
}

function readUse(processId: number): Use | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${processId}/stat`, "utf8");
  } catch {
    // Other systems have no such file; the report then says nothing about other programs.
    return undefined;
  }
  // The program's name stands in parentheses and may hold spaces: fields count from the last parenthesis.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const busy = cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
  return { time: performance.now(), busy, own: (Number(fields[11]) + Number(fields[12])) * tick };
}
