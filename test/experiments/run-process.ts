/** The process of one run: it does what its parent asks, tells how far it is, and ends. */
import { GradbankError } from "@gradbank/core";
import { runBankCost } from "./run-bank-cost.ts";
import { runPullRequest } from "./run-pull-request.ts";
import type { FoundByRun, ReportProgress, RunMessage, RunRequest } from "./run-result.ts";
import { runSteadyMemory } from "./run-steady-memory.ts";
import { measureUntrained, runTraining } from "./run-training.ts";
import { runUpdateTimes } from "./run-update-times.ts";

function run(request: RunRequest, report: ReportProgress): Promise<FoundByRun> {
  const { arm } = request;
  switch (arm.kind) {
    case "training":
      return runTraining(request, arm, report);
    case "untrained":
      return measureUntrained(request, arm, report);
    case "update-times":
      return runUpdateTimes(request, arm, report);
    case "pull-request":
      return runPullRequest(request, arm, report);
    case "bank-cost":
      return runBankCost(request, arm, report);
    case "steady-memory":
      return runSteadyMemory(request, arm, report);
  }
}

function send(message: RunMessage): Promise<void> {
  return new Promise((resolve, reject) =>
    process.send!(message, undefined, {}, (error) => (error ? reject(error) : resolve())),
  );
}

process.once("message", async (request: RunRequest) => {
  try {
    const result = await run(request, (done, of, note) => void send({ type: "progress", done, of, note }));
    await send({ type: "result", result });
  } catch (error) {
    const text = GradbankError.isInstance(error)
      ? `${error.name}: ${error.message}`
      : error instanceof Error
        ? (error.stack ?? error.message)
        : String(error);
    await send({ type: "error", text });
  }
  process.disconnect();
});

process.on("disconnect", () => process.exit());
// Ctrl-C reaches the whole group of processes; the parent decides how to end.
process.on("SIGINT", () => {});
