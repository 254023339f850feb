import { OptionError } from "../errors.ts";
import type { TrainingArguments } from "./arguments.ts";

/**
 * Checks that every checkpoint falls on an evaluation where the best one is to be loaded: else the best evaluated model
 * may not be there. The rules are those of transformers' `TrainingArguments`.
 *
 * @throws OptionError "invalid-option" that names both settings.
 */
export function requireMatchingStrategies(
  given: Pick<
    TrainingArguments,
    "loadBestModelAtEnd" | "evalStrategy" | "saveStrategy" | "evalSteps" | "loggingSteps" | "saveSteps"
  >,
): void {
  if (!given.loadBestModelAtEnd) return;
  const { evalStrategy, saveStrategy, saveSteps } = given;
  if (evalStrategy !== saveStrategy)
    throw new OptionError(
      "invalid-option",
      `loadBestModelAtEnd needs every checkpoint to be evaluated, but evalStrategy is "${evalStrategy}" and saveStrategy is "${saveStrategy}". Set both to "steps" or both to "epoch".`,
      { option: "loadBestModelAtEnd", evalStrategy, saveStrategy },
    );
  if (evalStrategy === "no")
    throw new OptionError(
      "invalid-option",
      'loadBestModelAtEnd needs evaluations and checkpoints, but evalStrategy and saveStrategy are "no". Set both to "steps" or both to "epoch".',
      { option: "loadBestModelAtEnd", evalStrategy, saveStrategy },
    );
  if (evalStrategy !== "steps") return;
  const evalSteps = given.evalSteps ?? given.loggingSteps;
  const shown = `evalSteps is ${evalSteps}${given.evalSteps === undefined ? " (loggingSteps)" : ""} and saveSteps is ${saveSteps}`;
  const refuse = (reason: string): never => {
    throw new OptionError(
      "invalid-option",
      `loadBestModelAtEnd needs saveSteps to be a multiple of evalSteps, but ${shown}${reason}.`,
      { option: "saveSteps", evalSteps, saveSteps },
    );
  };
  if (evalSteps < 1 !== saveSteps < 1)
    refuse("; a share of the run and a number of updates cannot be compared. Give both in the same way");
  // Shares are compared as whole millionths: 0.3 is no multiple of 0.1 in binary.
  const [evaluations, checkpoints] =
    evalSteps < 1 ? [Math.round(evalSteps * 1e6), Math.round(saveSteps * 1e6)] : [evalSteps, saveSteps];
  if (checkpoints % evaluations !== 0)
    refuse(evalSteps < 1 ? "" : `. Set saveSteps to ${Math.ceil(saveSteps / evalSteps) * evalSteps}, for example`);
}
