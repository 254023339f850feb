import { type Command, Option } from "commander";
import type { ExitCode } from "./exit-codes.ts";
import { nonEmpty, option, parseCount } from "./option-values.ts";

/** What `gradbank bridge keys` was asked to do. */
export interface BridgeKeysOptions {
  /** Folder for server.keys and client.keys. */
  readonly output: string;
}

/** What `gradbank bridge serve` was asked to do. */
export interface BridgeServeOptions {
  /** Where to listen: `ipc://PATH` or `tcp://HOST:PORT`. */
  readonly endpoint: string;
  /** server.keys; needed beyond this machine. */
  readonly keys?: string;
  /** Python interpreter; default: that of python-ref/.venv. */
  readonly python?: string;
  /** Threads of torch; default: torch's own choice. */
  readonly threads?: number;
}

/** What the commands below `gradbank bridge` do. */
export interface BridgeCommandActions {
  readonly bridgeKeys: (options: BridgeKeysOptions) => Promise<ExitCode>;
  readonly bridgeServe: (options: BridgeServeOptions) => Promise<ExitCode>;
}

/** Adds `gradbank bridge` and its commands. */
export function addBridgeCommand(
  program: Command,
  act: {
    readonly keys: (options: BridgeKeysOptions) => Promise<void>;
    readonly serve: (options: BridgeServeOptions) => Promise<void>;
  },
): void {
  const bridge = program.command("bridge").description("The Python side as a server, and its keys.");
  bridge
    .command("keys")
    .description("Make keys for a server beyond this machine: server.keys for it, client.keys for gradbank parity.")
    .addOption(
      new Option("--output <folder>", "folder for both files").makeOptionMandatory().argParser(nonEmpty), //
    )
    .allowExcessArguments(false)
    .action(act.keys);
  bridge
    .command("serve")
    .description("Run Python's server in the foreground, for gradbank parity --connect.")
    .addOption(
      new Option("--endpoint <endpoint>", "where to listen: ipc://PATH or tcp://HOST:PORT") //
        .makeOptionMandatory()
        .argParser(nonEmpty),
    )
    .addOption(new Option("--keys <file>", "server.keys; needed beyond this machine").argParser(nonEmpty))
    .addOption(
      new Option("--python <path>", "Python interpreter (default: that of python-ref/.venv)").argParser(nonEmpty),
    )
    .addOption(option("--threads <count>", "threads of torch", "torch's own choice").argParser(parseCount))
    .allowExcessArguments(false)
    .action(act.serve);
}
