import { ablation } from "./ablation.ts";
import { bankCost } from "./bank-cost.ts";
import { equalMemory } from "./equal-memory.ts";
import type { Experiment } from "./experiment.ts";
import { growth } from "./growth.ts";
import { likeLength } from "./like-length.ts";
import { thread } from "./thread.ts";
import { threadSmall } from "./thread-small.ts";

/** All experiments that `npm run experiment` knows. */
export const experiments: readonly Experiment[] = [
  equalMemory,
  likeLength,
  ablation,
  thread,
  threadSmall,
  growth,
  bankCost,
];
