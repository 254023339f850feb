import { BridgeError, PythonProcess } from "@gradbank/bridge";
import type { BridgeServeOptions } from "./bridge-command.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { Interruption } from "./interruption.ts";

/** What serving is given besides its options. */
export interface BridgeServeSurroundings {
  /** Asks it to end. Default: one that listens to this process's signals. */
  readonly interruption?: Interruption;
  /** Default: this process's standard output. */
  readonly writeOut?: (text: string) => void;
}

/**
 * `gradbank bridge serve`: runs Python's server in the foreground, its log on standard error, until it is interrupted or
 * a client shuts it down.
 *
 * @throws BridgeError "python-start-failed" and its kin; "connection-lost" when it fails later
 */
export async function serveBridge(
  options: BridgeServeOptions,
  { interruption, writeOut = (text) => void process.stdout.write(text) }: BridgeServeSurroundings = {},
): Promise<ExitCode> {
  const own = interruption ? undefined : new Interruption();
  own?.listen();
  try {
    const server = await PythonProcess.start({ ...options, showLog: true });
    let isEnding = false;
    (interruption ?? own!).onRequest(() => {
      isEnding = true;
      void server.end();
    });
    writeOut(
      `Python listens on ${server.endpoint} (process ${server.pid}). Ctrl-C ends it.\n` +
        `  gradbank parity --connect ${server.endpoint}${options.keys ? " --keys client.keys" : ""}\n`,
    );
    const { code, signal } = await server.exited;
    if (isEnding || code === 0) return exitCodes.done;
    const how = signal ? `by signal ${signal}` : `with exit code ${code}`;
    throw new BridgeError("connection-lost", `Python's server ended ${how}. Its log above says why; start it again.`, {
      exitCode: code,
      signal,
    });
  } finally {
    own?.close();
  }
}
