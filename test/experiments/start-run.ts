import { type ChildProcess, fork } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ExperimentError } from "./errors.ts";
import type { FoundByRun, ReportProgress, RunMessage, RunRequest } from "./run-result.ts";

const folder = dirname(fileURLToPath(import.meta.url));
const running = new Set<ChildProcess>();

/**
 * Does a run in a process of its own, so that its memory and its time are its own.
 *
 * @throws ExperimentError "run-failed" with what the process said
 */
export function startRun(request: RunRequest, report: ReportProgress): Promise<FoundByRun> {
  const child = fork(join(folder, "run-process.ts"), [], {
    cwd: folder,
    execArgv: ["--import", "tsx", "--conditions=@gradbank/source"],
    // Standard output is for results.
    stdio: ["ignore", 2, 2, "ipc"],
  });
  running.add(child);
  const facts = { arm: request.arm.name, seed: request.seed };
  const what = `${request.experiment.name}, arm ${request.arm.name}, seed ${request.seed}`;
  return new Promise((resolve, reject) => {
    let found: FoundByRun | undefined;
    let failure: string | undefined;
    child.on("message", (message: RunMessage) => {
      if (message.type === "progress") report(message.done, message.of, message.note);
      else if (message.type === "result") found = message.result;
      else failure = message.text;
    });
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      running.delete(child);
      if (found) resolve(found);
      else
        reject(
          new ExperimentError(
            "run-failed",
            `${what}: ${failure ?? `its process ended ${signal ? `by signal ${signal}` : `with exit code ${code}`} without a result.`}`,
            { ...facts, exitCode: code, signal },
          ),
        );
    });
    child.send(request);
  });
}

/** Ends the runs at hand; the runs before them are kept. */
export function stopRuns(): void {
  for (const child of running) child.kill("SIGKILL");
}
