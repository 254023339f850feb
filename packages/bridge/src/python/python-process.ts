import { type ChildProcess, spawn } from "node:child_process";
import { delimiter } from "node:path";
import type { Readable } from "node:stream";
import { BridgeError } from "../errors.ts";
import { findPythonEnvironment } from "./python-environment.ts";

/** How to start the process of the Python server. */
export interface PythonProcessOptions {
  /** ZeroMQ endpoint at which it listens: ipc://PATH or tcp://HOST:PORT, port * for any free one. */
  readonly endpoint: string;
  /** Interpreter. Default: that of `python-ref/.venv`. */
  readonly python?: string | undefined;
  /** Threads of torch. Default: torch's own choice. */
  readonly threads?: number | undefined;
  /** File server.keys. Default: none; then only ipc and TCP of this machine are allowed. */
  readonly keys?: string | undefined;
  /** Bytes of the largest frame that it accepts. Default: 4 GiB. */
  readonly maxMessageSize?: number | undefined;
  /** Seconds of silence after which it frees a client's models. Default: 3600. */
  readonly sessionTimeout?: number | undefined;
  /** Whether it ends when its last client has gone. Default: false. */
  readonly exitWithClient?: boolean | undefined;
  /** Empty folder that it removes at its end, besides its socket in it. */
  readonly temporaryFolder?: string | undefined;
  /** Milliseconds until it must listen. Default: 120,000. */
  readonly startTimeout?: number | undefined;
  /** Further environment variables. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** Whether its log is shown on this process's standard error. Default: false, its end is kept for error messages. */
  readonly showLog?: boolean | undefined;
}

/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const keptStderr = 16_384;

/** The Python server's process. It ends with `end()`, and also when Node ends in any way: it watches its standard input. */
export class PythonProcess {
  /** Where it listens. */
  readonly endpoint: string;
  readonly exited: Promise<ProcessEnd>;
  readonly #child: ChildProcess;
  readonly #stderr: StderrTail;

  private constructor(child: ChildProcess, stderr: StderrTail, endpoint: string) {
    this.#child = child;
    this.#stderr = stderr;
    this.endpoint = endpoint;
    this.exited = exitOf(child);
  }

  /**
   * Starts the process and waits until it listens.
   *
   * @throws BridgeError "reference-missing", "python-missing" or "python-start-failed"
   */
  static async start(options: PythonProcessOptions): Promise<PythonProcess> {
    const { python, referenceFolder } = findPythonEnvironment(options.python);
    const child = spawn(python, ["-m", "gradbank_ref.server", ...serverArguments(options)], {
      stdio: ["pipe", "pipe", options.showLog ? "inherit" : "pipe"],
      env: {
        ...process.env,
        HF_HUB_OFFLINE: "1",
        ...options.environment,
        PYTHONPATH: [referenceFolder, process.env.PYTHONPATH].filter(Boolean).join(delimiter),
      },
    });
    // Writing to a process that has ended already is reported by its exit.
    child.stdin!.on("error", () => {});
    const stderr = new StderrTail(child.stderr);
    try {
      const endpoint = await ready(child, python, stderr, options.startTimeout ?? 120_000);
      return new PythonProcess(child, stderr, endpoint);
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** The end of what Python wrote on standard error; nothing when its log is shown. */
  get stderr(): string {
    return this.#stderr.text;
  }

  /** The same as a sentence of an error message. */
  get quotedStderr(): string {
    return this.#stderr.quoted();
  }

  /** Ends the process, also in the middle of a computation, and waits for its end. May be called twice. */
  async end(): Promise<void> {
    this.#child.stdin!.end();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5_000);
    await this.exited;
    clearTimeout(timer);
  }
}

function serverArguments(options: PythonProcessOptions): string[] {
  const valued: [string, string | number | undefined][] = [
    ["--endpoint", options.endpoint],
    ["--keys", options.keys],
    ["--threads", options.threads],
    ["--max-message-size", options.maxMessageSize],
    ["--session-timeout", options.sessionTimeout],
    ["--temporary-folder", options.temporaryFolder],
  ];
  return [
    "--end-with-stdin",
    ...(options.exitWithClient ? ["--exit-with-client"] : []),
    ...valued.flatMap(([name, value]) => (value === undefined ? [] : [name, String(value)])),
  ];
}

/** Waits for the ready line; returns the endpoint that it names. */
async function ready(child: ChildProcess, python: string, stderr: StderrTail, startTimeout: number): Promise<string> {
  return await new Promise<string>((resolve, reject) => {
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
    child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      line += text;
      if (!line.includes("\n")) return;
      const endpoint = endpointOf(line);
      if (endpoint === undefined) return fail(`it wrote ${JSON.stringify(line)} instead of its ready line`);
      clearTimeout(timer);
      resolve(endpoint);
    });
  });
}

function endpointOf(line: string): string | undefined {
  try {
    const { ready, endpoint } = JSON.parse(line);
    return ready === true && typeof endpoint === "string" ? endpoint : undefined;
  } catch {
    // Not our server's line: the caller quotes it.
    return undefined;
  }
}

function exitOf(child: ChildProcess): Promise<ProcessEnd> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null)
      resolve({ code: child.exitCode, signal: child.signalCode });
    else child.once("close", (code, signal) => resolve({ code, signal }));
  });
}

/** Keeps the end of a process's standard error for error messages. */
class StderrTail {
  text = "";

  readonly #isShown: boolean;

  /** @param stream null when standard error is shown instead */
  constructor(stream: Readable | null) {
    this.#isShown = stream === null;
    stream?.setEncoding("utf8").on("data", (text: string) => {
      this.text = (this.text + text).slice(-keptStderr);
    });
  }

  quoted(): string {
    if (this.#isShown) return " Its log is above.";
    const text = this.text.trim();
    return text ? ` Its standard error ends with:\n${text}` : " It wrote nothing on standard error.";
  }
}
