import type { Command } from "commander";
import { exitCodeHelp } from "./exit-code-help.ts";
import { formatMagnitude } from "./number-format.ts";
import { option, parseCount, parseRate } from "./option-values.ts";
import { type QuickstartOptions, quickstartDefaults } from "./quickstart-options.ts";

/** Adds `gradbank quickstart`. */
export function addQuickstartCommand(program: Command, act: (options: QuickstartOptions) => Promise<void>): void {
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
    .addHelpText("after", exitCodeHelp.quickstart)
    .allowExcessArguments(false)
    .action((given: Partial<QuickstartOptions>) => act({ ...quickstartDefaults, ...given }));
}
