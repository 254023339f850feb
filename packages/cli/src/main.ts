#!/usr/bin/env node
import { runCommandLine } from "./command-line.ts";
import { exitCodes } from "./exit-codes.ts";
import { Interruption } from "./interruption.ts";
import { JsonReporter } from "./json-reporter.ts";
import { quickstart } from "./quickstart.ts";
import { describeTerminal } from "./terminal.ts";
import { TextReporter } from "./text-reporter.ts";

const writeOut = (text: string): void => void process.stdout.write(text);
const writeError = (text: string): void => void process.stderr.write(text);

// A reader that went away (`| head`, a closed terminal) must not end a run before its model is saved.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

process.exitCode = await runCommandLine(process.argv.slice(2), {
  writeOut,
  writeError,
  quickstart: async (options) => {
    const reporter = options.json
      ? new JsonReporter(writeOut, writeError)
      : new TextReporter({ terminal: describeTerminal(process.stdout, process.env), writeError });
    const interruption = new Interruption();
    interruption.listen();
    try {
      return await quickstart(options, { reporter, interruption });
    } catch (error) {
      reporter.fail(error);
      return exitCodes.failed;
    } finally {
      interruption.close();
    }
  },
});
