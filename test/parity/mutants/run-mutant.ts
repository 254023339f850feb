import type { OurTensor } from "../../../packages/bridge/src/lockstep/our-side.ts";
import type { Stage } from "../../../packages/bridge/src/lockstep/stages.ts";
import { galleryCase } from "./gallery-case.ts";
import type { Mutant } from "./mutant.ts";
import type { CaseRunner } from "./run-case.ts";

/** What the comparison said of a mutant. */
export interface Finding {
  readonly mutant: Mutant;
  /** First step in which anything of ours has other bits than without the bug; undefined: none. */
  readonly effectStep: number | undefined;
  /** The step in which it was found; undefined: it was not. */
  readonly step: number | undefined;
  readonly stage: Stage | undefined;
  readonly tensor: string | undefined;
  /** The message of the first divergence. */
  readonly message: string | undefined;
  /** Where the walk through the encoder ended; undefined where there was none, or where it found nothing. */
  readonly module: string | undefined;
  readonly stageIsRight: boolean;
}

/** Runs a mutant until it is found. */
export async function runMutant(runner: CaseRunner, mutant: Mutant): Promise<Finding> {
  const settings = galleryCase(mutant.overrides);
  let finding: Finding = {
    mutant,
    effectStep: await firstEffect(runner, mutant),
    step: undefined,
    stage: undefined,
    tensor: undefined,
    message: undefined,
    module: undefined,
    stageIsRight: false,
  };
  await runner.run(settings, mutant.seams(), ({ divergence }, step) => {
    if (!divergence) return true;
    const { stage, tensor, message, activations } = divergence;
    const last = activations?.at(-1);
    finding = {
      ...finding,
      step,
      stage,
      tensor,
      message,
      module: last && !last.comparison.equal ? last.module : undefined,
      stageIsRight: mutant.stages.some((right) => right === stage),
    };
    return false;
  });
  return finding;
}

/** The first step in which a mutant changes a bit, measured on our side alone. */
async function firstEffect(runner: CaseRunner, { overrides, seams }: Mutant): Promise<number | undefined> {
  const settings = galleryCase(overrides);
  const right = await runner.traceClean(settings);
  const faulty = await runner.trace(settings, seams());
  const index = right.findIndex((tensors, step) => !sameBits(tensors, faulty[step]!));
  return index < 0 ? undefined : index + 1;
}

function sameBits(left: readonly OurTensor[], right: readonly OurTensor[]): boolean {
  return (
    left.length === right.length &&
    left.every(({ stage, name, value }, index) => {
      const other = right[index]!;
      if (other.stage !== stage || other.name !== name || other.value.length !== value.length) return false;
      for (let element = 0; element < value.length; element++)
        if (!Object.is(value[element], other.value[element])) return false;
      return true;
    })
  );
}
