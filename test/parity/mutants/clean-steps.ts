import type { Stage } from "../../../packages/bridge/src/lockstep/stages.ts";
import { stages } from "../../../packages/bridge/src/lockstep/stages.ts";
import type { ResolvedCase } from "../../../packages/bridge/src/suite/resolved-case.ts";
import type { CaseRunner } from "./run-case.ts";

/** How far from the limit one stage of one step stayed. */
interface Sample {
  readonly mode: ResolvedCase["mode"];
  readonly stage: Stage;
  readonly multiple: number;
  readonly where: string;
}

/** A step without a bug that was called different. */
export interface FalseAlarm {
  readonly case: string;
  readonly settings: ResolvedCase;
  readonly step: number;
  readonly message: string;
}

/** What many steps without a bug came to. */
export interface CleanSteps {
  readonly steps: number;
  readonly alarms: readonly FalseAlarm[];
  readonly distribution: readonly StageDistribution[];
}

/** Multiples of the noise floor of one stage's worst tensors, over all steps of one mode. */
export interface StageDistribution {
  readonly mode: ResolvedCase["mode"];
  readonly stage: Stage;
  readonly steps: number;
  readonly median: number;
  readonly p99: number;
  readonly largest: number;
  /** Case, step and tensor of the largest. */
  readonly where: string;
}

/** Takes all steps of cases that have no bug. */
export async function runCleanSteps(runner: CaseRunner, cases: readonly ResolvedCase[]): Promise<CleanSteps> {
  const samples: Sample[] = [];
  const alarms: FalseAlarm[] = [];
  let steps = 0;
  for (const settings of cases) {
    const { name, mode } = settings;
    await runner.run(settings, {}, ({ report, divergence }, step) => {
      steps++;
      if (divergence) alarms.push({ case: name, settings, step, message: `${divergence.stage} ${divergence.message}` });
      for (const { stage, multiple, worst } of report.stages)
        samples.push({
          mode,
          stage,
          multiple: multiple ?? Number.POSITIVE_INFINITY,
          where: `${name}, step ${step}, ${worst}`,
        });
      return true;
    });
  }
  return { steps, alarms, distribution: distributionOf(samples) };
}

function distributionOf(samples: readonly Sample[]): StageDistribution[] {
  const modes = ["teacher-forced", "free-running"] as const;
  return modes.flatMap((mode) =>
    stages.flatMap((stage) => {
      const own = samples.filter((sample) => sample.mode === mode && sample.stage === stage);
      own.sort((a, b) => a.multiple - b.multiple);
      const largest = own.at(-1);
      if (!largest) return [];
      const quantile = (share: number) => own[Math.floor(share * (own.length - 1))]!.multiple;
      return [
        {
          mode,
          stage,
          steps: own.length,
          median: quantile(0.5),
          p99: quantile(0.99),
          largest: largest.multiple,
          where: largest.where,
        },
      ];
    }),
  );
}
