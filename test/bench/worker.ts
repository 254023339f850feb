/** The process that trains with gradbank: it does what its parent asks, one request at a time, and ends with it. */
import { rmSync } from "node:fs";
import { InformationRetrievalEvaluator } from "@gradbank/core";
import { readMemory, resetPeakMemory } from "./process-memory.ts";
import { TrainingSession } from "./training-session.ts";
import type { WorkerMethods, WorkerReply, WorkerRequest } from "./worker-messages.ts";

let session: TrainingSession | undefined;

const methods: {
  [Method in keyof WorkerMethods]: (
    ...parameters: Parameters<WorkerMethods[Method]>
  ) => ReturnType<WorkerMethods[Method]> | Promise<ReturnType<WorkerMethods[Method]>>;
} = {
  prepare: async ({ plan, outputDir, resetPeak }) => {
    // A parent that was killed cannot do it.
    process.once("exit", () => rmSync(outputDir, { recursive: true, force: true }));
    session = await TrainingSession.create(plan, outputDir);
    return { peakReset: resetPeak && resetPeakMemory() };
  },
  round: ({ steps }) => prepared().round(steps),
  memory: () => readMemory(),
  evaluate: async ({ data }) => {
    const evaluator = new InformationRetrievalEvaluator({ ...data, writeCsv: false });
    const metrics = await evaluator.evaluate(prepared().encoder);
    return { ndcgAt10: metrics[evaluator.primaryMetric]! };
  },
};

function prepared(): TrainingSession {
  if (!session) throw new Error("the worker was asked to train before it was prepared");
  return session;
}

let last: Promise<void> = Promise.resolve();
process.on("message", (request: WorkerRequest) => {
  last = last.then(() => answer(request));
});

async function answer({ id, method, parameters }: WorkerRequest): Promise<void> {
  let reply: WorkerReply;
  try {
    reply = { id, result: await methods[method](parameters as never) };
  } catch (error) {
    reply = { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  process.send?.(reply);
}

process.on("disconnect", () => process.exit());
// Ctrl-C reaches the whole group of processes; the parent decides how to end.
process.on("SIGINT", () => {});
