import { Argument, type Command, Option } from "commander";
import { exitCodeHelp } from "./exit-code-help.ts";
import { checkAssignment, nonEmpty, option, parseCount, repeatable } from "./option-values.ts";
import { type ParityOptions, parityDefaults } from "./parity-options.ts";
import { checkKeywordArgument, checkReferenceClass, parseKeywordArguments } from "./reference-class.ts";

/** Options by commander's names. */
type Given = Partial<Omit<ParityOptions, "suites" | "cases" | "overrides" | "referenceOptions">> & {
  readonly case?: readonly string[];
  readonly set?: readonly string[];
  readonly referenceOption?: readonly string[];
};

const examples = `
Examples:
  gradbank parity                                         the suite quick
  gradbank parity losses --case triplets --report out     some cases of a suite that ships
  gradbank parity my.yaml --reference my_loss.py:MyLoss --reference-option scale=10
  gradbank parity --all --export-golden golden            once, with Python
  gradbank parity --all --import-golden golden            anywhere, without Python
`;

/** Adds `gradbank parity`. */
export function addParityCommand(program: Command, act: (options: ParityOptions) => Promise<void>): void {
  const text = (flags: string, description: string) => new Option(flags, description).argParser(nonEmpty);
  const command = program
    .command("parity")
    .description("Compare every step with Python: tokens, embeddings, scores, loss, gradients, weights, bank.")
    .addArgument(
      new Argument("[suites...]", "suite files, or names of suites that ship (default: quick)") //
        .argParser<readonly string[]>((value, former) => [...(former ?? []), nonEmpty(value)]),
    )
    .option("--all", "all suites that ship")
    .option("--list", "tell suites and their cases instead of comparing")
    .addOption(repeatable("--case <text>", "only cases whose name contains this text"))
    .addOption(
      repeatable("--set <name=value>", "set a value in every case, dots in the name: loss.scale=10", checkAssignment),
    )
    .addOption(option("--steps <count>", "steps of every case", "as the suite has them").argParser(parseCount))
    .addOption(
      option("--reference <file.py:Class>", "loss that ours is held against", "as the suite has it") //
        .argParser(checkReferenceClass),
    )
    .addOption(
      repeatable("--reference-option <name=value>", "keyword argument of --reference, in JSON", checkKeywordArgument),
    )
    .addOption(
      new Option("--tensors <which>", "tensors that travel whole: small ones and what differs, or all") //
        .choices(["small", "all"]),
    )
    .addOption(text("--report <folder>", "write report.html, report.json and junit.xml"))
    .addOption(text("--save-tensors <folder>", "write the tensors that differ, as safetensors"))
    .addOption(text("--export-golden <folder>", "keep what Python computed, for --import-golden"))
    .addOption(
      text("--import-golden <folder>", "compare with what was kept, without Python").conflicts([
        ...["exportGolden", "python", "connect", "keys"],
      ]),
    )
    .addOption(text("--python <path>", "Python interpreter (default: that of python-ref/.venv)"))
    .addOption(
      text("--connect <endpoint>", "use a server that runs already: gradbank bridge serve").conflicts("python"),
    )
    .addOption(text("--keys <file>", "client.keys for --connect, made by gradbank bridge keys"))
    .addOption(
      option("--threads <count>", "threads of ONNX Runtime, and of torch", "their own choice").argParser(parseCount),
    )
    .option("--fail-fast", "stop at the first difference")
    .option("--json", "write events as JSON Lines instead of text")
    .addHelpText("after", examples + exitCodeHelp.parity);
  command.action(async (suites: readonly string[] | undefined, given: Given) => {
    const { case: cases, set: overrides, referenceOption, ...others } = given;
    if (given.keys !== undefined && given.connect === undefined)
      command.error("error: option '--keys <file>' needs '--connect <endpoint>'");
    if (referenceOption && !given.reference)
      command.error("error: option '--reference-option <name=value>' needs '--reference <file.py:Class>'");
    if (given.all && (suites ?? []).length > 0)
      command.error(`error: option '--all' cannot be used with suites: ${suites!.join(", ")}`);
    await act({
      ...parityDefaults,
      ...others,
      suites: suites ?? [],
      cases: cases ?? [],
      overrides: overrides ?? [],
      referenceOptions: parseKeywordArguments(referenceOption ?? []),
    });
  });
}
