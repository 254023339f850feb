import { createRequire } from "node:module";
import { Command, CommanderError } from "commander";
import { addBridgeCommand, type BridgeCommandActions } from "./bridge-command.ts";
import { exitCodeHelp } from "./exit-code-help.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { addParityCommand } from "./parity-command.ts";
import type { ParityOptions } from "./parity-options.ts";
import { addQuickstartCommand } from "./quickstart-command.ts";
import type { QuickstartOptions } from "./quickstart-options.ts";

/** What the commands do, and where help and complaints about usage go. */
export interface CommandLineActions extends BridgeCommandActions {
  readonly quickstart: (options: QuickstartOptions) => Promise<ExitCode>;
  readonly parity: (options: ParityOptions) => Promise<ExitCode>;
  readonly writeOut: (text: string) => void;
  readonly writeError: (text: string) => void;
}

/**
 * Runs the command that the arguments name.
 * @param given the arguments after the program's name.
 * @returns the exit status; 2 for arguments that cannot be used, which are explained on `writeError`.
 */
export async function runCommandLine(given: readonly string[], actions: CommandLineActions): Promise<ExitCode> {
  let exitCode: ExitCode = exitCodes.done;
  const program = createProgram(actions, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...given], { from: "user" });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help that was asked for ends by the same road as a wrong option.
    return error.exitCode === 0 ? exitCodes.done : exitCodes.wrongUsage;
  }
}

function createProgram(actions: CommandLineActions, setExitCode: (code: ExitCode) => void): Command {
  const { version } = createRequire(import.meta.url)("../package.json") as { version: string };
  const program = new Command("gradbank")
    .description("Trains sentence-embedding models on ONNX Runtime.")
    .version(version)
    // Set before the subcommands are made, which inherit both.
    .exitOverride()
    .configureOutput({ writeOut: actions.writeOut, writeErr: actions.writeError })
    .showSuggestionAfterError()
    .addHelpText("after", exitCodeHelp.program);
  const act =
    <Options>(action: (options: Options) => Promise<ExitCode>) =>
    async (options: Options): Promise<void> =>
      setExitCode(await action(options));
  addQuickstartCommand(program, act(actions.quickstart));
  addParityCommand(program, act(actions.parity));
  addBridgeCommand(program, { keys: act(actions.bridgeKeys), serve: act(actions.bridgeServe) });
  return program;
}
