import type { AdamW, Loss, SentenceEncoder } from "@gradbank/core";
import type { Stage } from "../../../packages/bridge/src/lockstep/stages.ts";
import type { ResolvedCase } from "../../../packages/bridge/src/suite/resolved-case.ts";
import type { RuntimeFaults } from "./faulty-runtime.ts";
import type { CaseOverrides } from "./gallery-case.ts";

/** Where a fault enters our side. Only tests use these ways in, so that both sides' configuration still agrees. */
export interface Seams {
  /** Changes graphs before they are compiled, and what goes in and out of compiled programs. */
  readonly runtime?: RuntimeFaults;
  /** Replaces methods of the encoder, its programs or its parameters. */
  readonly encoder?: (encoder: SentenceEncoder) => void;
  /** Wraps or replaces the right loss. */
  readonly loss?: (right: Loss, settings: ResolvedCase) => Loss;
  /** Makes the optimizer. */
  readonly optimizer?: (encoder: SentenceEncoder, settings: ResolvedCase) => AdamW;
}

/** One deliberate bug. */
export interface Mutant {
  /** In kebab-case; unique. */
  readonly name: string;
  /** What is wrong, in one sentence. */
  readonly what: string;
  /** What the case must have for the bug to have an effect. Default: the gallery's case as it is. */
  readonly overrides?: CaseOverrides;
  /** The stage in which the bug sits; two only where the flow of data makes both right, which `why` explains. */
  readonly stages: readonly [Stage] | readonly [Stage, Stage];
  readonly why?: string;
  /** First step in which anything of our side has other bits than without the bug. */
  readonly effectStep: number;
  /** The module in which the walk through the encoder must end. Default: any, or none. */
  readonly module?: string;
  /** A fresh set: some faults remember something. */
  readonly seams: () => Seams;
}
