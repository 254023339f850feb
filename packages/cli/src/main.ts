#!/usr/bin/env node
import { writeBridgeKeys } from "./bridge-keys.ts";
import { serveBridge } from "./bridge-serve.ts";
import { cacheFolder } from "./cache-folder.ts";
import { runCommandLine } from "./command-line.ts";
import { describeError } from "./error-report.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { Interruption } from "./interruption.ts";
import { JsonReporter } from "./json-reporter.ts";
import { parity } from "./parity.ts";
import { ParityJsonReporter } from "./parity-json-reporter.ts";
import { ParityTextReporter } from "./parity-text-reporter.ts";
import { quickstart } from "./quickstart.ts";
import { describeTerminal } from "./terminal.ts";
import { TextReporter } from "./text-reporter.ts";

const writeOut = (text: string): void => void process.stdout.write(text);
const writeError = (text: string): void => void process.stderr.write(text);

// A reader that went away (`| head`, a closed terminal) must not end a run before its model is saved.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

/** Lets signals end the work in order, and tells what it throws. */
async function interruptibly(
  work: (interruption: Interruption) => Promise<ExitCode>,
  fail: (error: unknown) => void,
  failed: ExitCode = exitCodes.failed,
): Promise<ExitCode> {
  const interruption = new Interruption();
  interruption.listen();
  try {
    return await work(interruption);
  } catch (error) {
    fail(error);
    return failed;
  } finally {
    interruption.close();
  }
}

const terminal = describeTerminal(process.stdout, process.env);
const tellError = (error: unknown): void => writeError(`${describeError(error)}\n`);

process.exitCode = await runCommandLine(process.argv.slice(2), {
  writeOut,
  writeError,
  quickstart: (options) => {
    const reporter = options.json ? new JsonReporter(writeOut, writeError) : new TextReporter({ terminal, writeError });
    return interruptibly(
      (interruption) => quickstart(options, { reporter, interruption }),
      (error) => reporter.fail(error),
    );
  },
  parity: (options) => {
    const reporter = options.json
      ? new ParityJsonReporter(writeOut, writeError)
      : new ParityTextReporter({ terminal, writeError });
    return interruptibly(
      (interruption) => parity(options, { reporter, interruption, writeOut, cacheFolder: cacheFolder(process.env) }),
      (error) => reporter.fail(error),
      exitCodes.couldNotCompare,
    );
  },
  bridgeKeys: (options) => interruptibly(() => writeBridgeKeys(options, writeOut), tellError),
  bridgeServe: (options) =>
    interruptibly((interruption) => serveBridge(options, { interruption, writeOut }), tellError),
});
