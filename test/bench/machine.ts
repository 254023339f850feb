import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { arch, availableParallelism, cpus, loadavg, release, totalmem, type } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { PythonInformation } from "@gradbank/bridge";

/** Where and with what numbers were measured. */
export interface Machine {
  readonly processor: string;
  /** Processors that this process may use. */
  readonly cores: number;
  /** Bytes. */
  readonly memory: number;
  readonly system: string;
  /** Processes that wanted to run in the last minute before the benchmark began. */
  readonly loadAverage: number;
  /** Threads that each side was given. */
  readonly threads: number;
  /** The commit measured, with "+changes" when files differ from it; undefined outside a git checkout. */
  readonly commit: string | undefined;
  readonly versions: Readonly<Record<string, string>>;
}

/** Describes this machine and both sides' versions. */
export async function describeMachine(threads: number, python?: PythonInformation): Promise<Machine> {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memory: totalmem(),
    system: `${type()} ${release()} ${arch()}`,
    loadAverage: loadavg()[0]!,
    threads,
    commit: await commit(),
    versions: {
      node: process.versions.node,
      "onnxruntime-node": versionOf("onnxruntime-node"),
      ...(python && {
        python: python.python,
        torch: python.torch,
        "sentence-transformers": python.sentenceTransformers,
        transformers: python.transformers,
      }),
    },
  };
}

function versionOf(name: string): string {
  return (createRequire(import.meta.url)(`${name}/package.json`) as { version: string }).version;
}

async function commit(): Promise<string | undefined> {
  const git = async (...parameters: string[]) =>
    (await promisify(execFile)("git", parameters, { cwd: dirname(fileURLToPath(import.meta.url)) })).stdout.trim();
  try {
    const name = await git("rev-parse", "--short=12", "HEAD");
    return (await git("status", "--porcelain")) ? `${name}+changes` : name;
  } catch {
    // A downloaded archive has no history, and a machine may have no git: the report then names no commit.
    return undefined;
  }
}
