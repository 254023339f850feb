import { type ChildProcessByStdio, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { BridgeError } from "../errors.ts";
import { Connection, type MethodReply } from "../protocol/connection.ts";
import type { Tensors } from "../protocol/tensor.ts";
import { findPythonEnvironment, type PythonEnvironment } from "./python-environment.ts";

/** How to start the Python server. */
export interface PythonServerOptions {
  /** Interpreter. Default: that of `python-ref/.venv`. */
  readonly python?: string;
  /** Threads of torch. Default: torch's own choice. */
  readonly threads?: number;
  /** Milliseconds until the server must listen. Default: 120,000. */
  readonly startTimeout?: number;
  /** Milliseconds that a request may take unless it says otherwise. Default: 300,000. */
  readonly requestTimeout?: number;
  /** Further environment variables of the Python process. */
  readonly environment?: Readonly<Record<string, string>>;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

const keptStderr = 16_384;
/** A Unix socket's path has at most about 104 bytes, some of which our own folder and file name take. */
const longestSocketFolder = 80;

/**
 * The Python process and the connection to it.
 *
 * The process ends with `close()`, and also when Node ends in any way: it watches its standard input.
 */
export class PythonServer {
  readonly #child: Child;
  readonly #connection: Connection;
  readonly #stderr: StderrTail;
  readonly #exited: Promise<void>;
  readonly #requestTimeout: number;
  #closing = false;

  private constructor(child: Child, folder: string, stderr: StderrTail, requestTimeout: number) {
    this.#child = child;
    this.#stderr = stderr;
    this.#requestTimeout = requestTimeout;
    this.#connection = new Connection(endpointIn(folder));
    this.#exited = exitOf(child).then(async ({ code, signal }) => {
      const how = signal ? `by signal ${signal}` : `with exit code ${code}`;
      const message = this.#closing
        ? "The Python reference was closed. Start another one to ask more."
        : `The Python server ended ${how}.${stderr.quoted()}`;
      this.#connection.end(
        new BridgeError("connection-lost", message, { exitCode: code, signal, stderr: stderr.text }),
      );
      // The server removes it unless it was killed.
      await rm(folder, { recursive: true, force: true });
    });
  }

  /**
   * Starts the server and waits until it listens.
   *
   * @throws BridgeError "reference-missing", "python-missing" or "python-start-failed"
   */
  static async start(options: PythonServerOptions = {}): Promise<PythonServer> {
    const environment = findPythonEnvironment(options.python);
    const folder = await mkdtemp(join(tmpdir().length > longestSocketFolder ? "/tmp" : tmpdir(), "gradbank-"));
    const child = spawnServer(environment, folder, options);
    const stderr = new StderrTail(child.stderr);
    try {
      await ready(child, environment, stderr, options.startTimeout ?? 120_000);
    } catch (error) {
      child.kill("SIGKILL");
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
    return new PythonServer(child, folder, stderr, options.requestTimeout ?? 300_000);
  }

  /** Process id of Python. */
  get pid(): number {
    return this.#child.pid!;
  }

  /** The end of what Python wrote on standard error. */
  get stderr(): string {
    return this.#stderr.text;
  }

  /**
   * Calls a method of the server by its Python name.
   *
   * @param parameters the method's parameters by their Python names; undefined ones are left out
   * @param timeout milliseconds; default: the server's `requestTimeout`
   * @throws BridgeError "remote-error", "request-timeout", "connection-lost", "malformed-reply" or "invalid-tensor"
   */
  request(
    method: string,
    parameters: Readonly<Record<string, unknown>> = {},
    tensors: Tensors = {},
    timeout: number = this.#requestTimeout,
  ): Promise<MethodReply> {
    return this.#connection.request(method, parameters, tensors, timeout);
  }

  /** Ends the Python process, also in the middle of a computation, and waits for its end. May be called twice. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5_000);
    await this.#exited;
    clearTimeout(timer);
  }
}

function endpointIn(folder: string): string {
  return `ipc://${join(folder, "socket")}`;
}

function spawnServer(
  { python, referenceFolder }: PythonEnvironment,
  folder: string,
  { threads, environment }: PythonServerOptions,
): Child {
  const threadArguments = threads === undefined ? [] : ["--threads", String(threads)];
  const child = spawn(
    python,
    ["-m", "gradbank_ref.server", "--endpoint", endpointIn(folder), "--temporary-folder", folder, ...threadArguments],
    {
      stdio: ["pipe", "pipe", "pipe"],
      env: {
        ...process.env,
        HF_HUB_OFFLINE: "1",
        ...environment,
        PYTHONPATH: [referenceFolder, process.env.PYTHONPATH].filter(Boolean).join(delimiter),
      },
    },
  );
  // Writing to a process that has ended already is reported by its exit.
  child.stdin.on("error", () => {});
  return child;
}

async function ready(
  child: Child,
  { python }: PythonEnvironment,
  stderr: StderrTail,
  startTimeout: number,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => fail(`it was not ready within ${startTimeout} ms`), startTimeout);
    const fail = (what: string, cause?: unknown) => {
      clearTimeout(timer);
      const message = `The Python server (${python} -m gradbank_ref.server) did not start: ${what}.${stderr.quoted()}`;
      reject(new BridgeError("python-start-failed", message, { python, stderr: stderr.text }, { cause }));
    };
    child.once("error", (cause: NodeJS.ErrnoException) => {
      if (cause.code !== "ENOENT" && cause.code !== "EACCES") return fail(cause.message, cause);
      clearTimeout(timer);
      const message =
        `There is no Python interpreter "${python}" that can be run. Run "npm run setup", or pass ` +
        "the `python` option: an interpreter that has gradbank-ref's dependencies.";
      reject(new BridgeError("python-missing", message, { path: python }, { cause }));
    });
    // "close" comes after the last of standard error, "exit" may come before it.
    child.once("close", (code, signal) => fail(signal ? `it ended by ${signal}` : `it ended with exit code ${code}`));
    let line = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      line += text;
      if (!line.includes("\n")) return;
      if (!line.startsWith('{"ready": true')) return fail(`it wrote ${JSON.stringify(line)} instead of its ready line`);
      clearTimeout(timer);
      resolve();
    });
  });
}

function exitOf(child: Child): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null)
      resolve({ code: child.exitCode, signal: child.signalCode });
    else child.once("close", (code, signal) => resolve({ code, signal }));
  });
}

/** Keeps the end of a process's standard error for error messages. */
class StderrTail {
  text = "";

  constructor(stream: Readable) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      this.text = (this.text + text).slice(-keptStderr);
    });
  }

  quoted(): string {
    const text = this.text.trim();
    return text ? ` Its standard error ends with:\n${text}` : " It wrote nothing on standard error.";
  }
}
