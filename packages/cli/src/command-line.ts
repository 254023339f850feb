import { createRequire } from "node:module";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { formatMagnitude } from "./number-format.ts";
import { type QuickstartOptions, quickstartDefaults } from "./quickstart-options.ts";

/** What the commands do, and where help and complaints about usage go. */
export interface CommandLineActions {
  readonly quickstart: (options: QuickstartOptions) => Promise<ExitCode>;
  readonly writeOut: (text: string) => void;
  readonly writeError: (text: string) => void;
}

const exitCodeHelp = `
Exit status:
  0    done; or stopped on request, with the model saved
  1    something failed, or a comparison with Python was not equal
  2    wrong usage
  130  interrupted before there was anything to save, or twice

Environment:
  NO_COLOR   no colours
  CI         plain lines instead of a progress line
  HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE   as Python's huggingface_hub has them
`;

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
    // Set before the subcommand is made, which inherits both.
    .exitOverride()
    .configureOutput({ writeOut: actions.writeOut, writeErr: actions.writeError })
    .showSuggestionAfterError()
    .addHelpText("after", exitCodeHelp);
  program
    .command("quickstart")
    .description("Train a small real run: NDCG@10 before and after, parity with Python, a saved model.")
    .addOption(option("--model <folder or hub id>", "model to train", "all-MiniLM-L6-v2"))
    .addOption(option("--data <file>", "pairs: .jsonl, .csv or .tsv, anchor first, then positive", "WordNet"))
    .addOption(option("--output-dir <folder>", "folder of the run", quickstartDefaults.outputDir))
    .addOption(option("--max-steps <count>", "updates", "one pass over the training pairs").argParser(parseCount))
    .addOption(option("--batch-size <rows>", "rows of one loss", quickstartDefaults.batchSize).argParser(parseCount))
    .addOption(
      option("--mini-batch-size <rows>", "rows encoded at once: bounds memory", quickstartDefaults.miniBatchSize) //
        .argParser(parseCount),
    )
    .addOption(
      option("--bank-capacity <rows>", "embeddings of earlier batches kept as further negatives (ContAccum)", "no bank") //
        .argParser(parseCount),
    )
    .addOption(
      option("--learning-rate <rate>", "highest learning rate", formatMagnitude(quickstartDefaults.learningRate)) //
        .argParser(parseRate),
    )
    .addOption(
      option("--train-pairs <count>", "most pairs to train on", quickstartDefaults.trainPairs).argParser(parseCount),
    )
    .addOption(
      option("--threads <count>", "threads of ONNX Runtime, and of torch", "this machine's").argParser(parseCount),
    )
    .option("--no-parity", "do not compare with Python")
    .option("--json", "write events as JSON Lines instead of text")
    .addHelpText("after", exitCodeHelp)
    .allowExcessArguments(false)
    .action(async (given: Partial<QuickstartOptions>) => {
      setExitCode(await actions.quickstart({ ...quickstartDefaults, ...given }));
    });
  return program;
}

/** An option whose default is filled in elsewhere: here it is only told. */
function option(flags: string, description: string, told: string | number): Option {
  return new Option(flags, `${description} (default: ${told})`);
}

function parseCount(value: string): number {
  const count = Number(value);
  if (/^\d+$/.test(value) && count >= 1 && count <= 0x7fff_ffff) return count;
  throw new InvalidArgumentError(`Expected a whole number of at least 1.`);
}

function parseRate(value: string): number {
  const rate = Number(value);
  if (value.trim() !== "" && Number.isFinite(rate) && rate > 0 && rate <= 1) return rate;
  throw new InvalidArgumentError("Expected a number above 0 and at most 1, such as 1e-4.");
}
