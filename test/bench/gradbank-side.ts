import { type ChildProcess, fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BenchmarkRound, RetrievalData } from "@gradbank/bridge";
import { BenchmarkError } from "./errors.ts";
import type { ProcessMemory } from "./process-memory.ts";
import type { Side, TrainingPlan } from "./side.ts";
import type { WorkerMethod, WorkerMethods, WorkerReply, WorkerRequest } from "./worker-messages.ts";

const folderOfBenchmark = dirname(fileURLToPath(import.meta.url));

interface Pending {
  resolve(result: never): void;
  reject(error: BenchmarkError): void;
}

/** gradbank in a process of its own, so that memory and garbage of the benchmark itself do not count. */
export class GradbankSide implements Side {
  readonly name = "gradbank";
  readonly processId: number;
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #exited: Promise<void>;
  readonly #pending = new Map<number, Pending>();
  #requests = 0;

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
    this.processId = child.pid!;
    child.on("message", (reply: WorkerReply) => this.#settle(reply));
    this.#exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        const how = signal ? `by signal ${signal}` : `with exit code ${code}`;
        const error = new BenchmarkError("worker-ended", `The process that trains with gradbank ended ${how}.`, {
          exitCode: code,
          signal,
        });
        for (const { reject } of this.#pending.values()) reject(error);
        this.#pending.clear();
        resolve();
      });
    });
  }

  /** Starts the process. It ends with `close()`, and also when this process ends in any way. */
  static async start(): Promise<GradbankSide> {
    const folder = await mkdtemp(join(tmpdir(), "gradbank-bench-"));
    const child = fork(join(folderOfBenchmark, "worker.ts"), [], {
      cwd: folderOfBenchmark,
      execArgv: ["--import", "tsx", "--conditions=@gradbank/source"],
      // Standard output is for results.
      stdio: ["ignore", 2, 2, "ipc"],
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    return new GradbankSide(child, folder);
  }

  /** @param resetPeak false: the peak of memory begins with the process. Default true. */
  prepare(plan: TrainingPlan, { resetPeak = true } = {}): Promise<{ peakReset: boolean }> {
    return this.#request("prepare", { plan, outputDir: this.#folder, resetPeak });
  }

  round(steps: number): Promise<BenchmarkRound> {
    return this.#request("round", { steps });
  }

  memory(): Promise<ProcessMemory> {
    return this.#request("memory", {});
  }

  async evaluate(data: RetrievalData): Promise<number> {
    return (await this.#request("evaluate", { data })).ndcgAt10;
  }

  async close(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    // A step in ONNX Runtime leaves no room for the message that says so.
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 3000);
    await this.#exited;
    clearTimeout(timer);
    await rm(this.#folder, { recursive: true, force: true });
  }

  #request<Method extends WorkerMethod>(
    method: Method,
    parameters: Parameters<WorkerMethods[Method]>[0],
  ): Promise<ReturnType<WorkerMethods[Method]>> {
    const request: WorkerRequest<Method> = { id: this.#requests++, method, parameters };
    return new Promise((resolve, reject) => {
      if (!this.#child.connected)
        return reject(
          new BenchmarkError("worker-ended", `The process that trains with gradbank has ended; ${method} cannot run.`, {
            method,
          }),
        );
      this.#pending.set(request.id, { resolve, reject });
      this.#child.send(request);
    });
  }

  #settle(reply: WorkerReply): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if ("result" in reply) pending?.resolve(reply.result as never);
    else pending?.reject(new BenchmarkError("worker-failed", `gradbank failed while training: ${reply.error}`));
  }
}
