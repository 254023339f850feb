import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BridgeError } from "../errors.ts";
import { Connection, type MethodReply } from "../protocol/connection.ts";
import { greet } from "../protocol/handshake.ts";
import type { Tensors } from "../protocol/tensor.ts";
import type { PythonInformation } from "../reference/reference-types.ts";
import { PythonProcess } from "./python-process.ts";
import type { ReferenceServer } from "./reference-server.ts";

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
  /** Bytes of the largest tensor that either side accepts. Default: 4 GiB. */
  readonly maxMessageSize?: number;
  /** Further environment variables of the Python process. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A Unix socket's path has at most about 104 bytes, some of which our own folder and file name take. */
const longestSocketFolder = 80;
/** Milliseconds from a broken connection to the news that the process ended, which tell more. */
const exitDelay = 2_000;

/** A Python process of one's own and the connection to it. The process ends with `close()`, or with Node. */
export class PythonServer implements ReferenceServer {
  readonly #process: PythonProcess;
  readonly #connection: Connection;
  readonly #requestTimeout: number;
  readonly #ended: Promise<void>;
  #information: PythonInformation | undefined;
  #closing = false;

  private constructor(process: PythonProcess, folder: string, options: PythonServerOptions) {
    const { maxMessageSize, requestTimeout = 300_000 } = options;
    this.#process = process;
    this.#requestTimeout = requestTimeout;
    this.#connection = new Connection(process.endpoint, {
      ...(maxMessageSize !== undefined && { maxMessageSize }),
      onLost: (error) => setTimeout(() => this.#connection.end(error), exitDelay).unref(),
    });
    this.#ended = process.exited.then(async ({ code, signal }) => {
      const how = signal ? `by signal ${signal}` : `with exit code ${code}`;
      const message = this.#closing
        ? "The Python reference was closed. Start another one to ask more."
        : `The Python server ended ${how}.${process.quotedStderr}`;
      const facts = { exitCode: code, signal, stderr: process.stderr };
      this.#connection.end(new BridgeError("connection-lost", message, facts));
      // The server removes it unless it was killed.
      await rm(folder, { recursive: true, force: true });
    });
  }

  /**
   * Starts the server, waits until it listens, and greets it.
   *
   * @throws BridgeError "reference-missing", "python-missing", "python-start-failed" or "protocol-mismatch"; and
   * "remote-error" when a package is missing in the Python environment
   */
  static async start(options: PythonServerOptions = {}): Promise<PythonServer> {
    const folder = await mkdtemp(join(tmpdir().length > longestSocketFolder ? "/tmp" : tmpdir(), "gradbank-"));
    let process: PythonProcess;
    try {
      process = await PythonProcess.start({
        ...options,
        endpoint: `ipc://${join(folder, "socket")}`,
        temporaryFolder: folder,
        exitWithClient: true,
      });
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
    const server = new PythonServer(process, folder, options);
    try {
      const { maxMessageSize } = options;
      server.#information = await greet(server.#connection, { maxMessageSize, timeout: server.#requestTimeout });
      return server;
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  /** Process id of Python. */
  get pid(): number {
    return this.#process.pid;
  }

  /** What Python said of itself. */
  get information(): PythonInformation {
    return this.#information!;
  }

  /** The end of what Python wrote on standard error. */
  get stderr(): string {
    return this.#process.stderr;
  }

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
    await this.#process.end();
    await this.#ended;
  }
}
