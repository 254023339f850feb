import { bankMutants } from "./bank-mutants.ts";
import { encoderMutants } from "./encoder-mutants.ts";
import { gradientMutants } from "./gradient-mutants.ts";
import { lossMutants } from "./loss-mutants.ts";
import type { Mutant } from "./mutant.ts";
import { tokenMutants } from "./token-mutants.ts";
import { updateMutants } from "./update-mutants.ts";

/** All deliberate bugs, in the order of the data. */
export const gallery: readonly Mutant[] = [
  ...tokenMutants,
  ...encoderMutants,
  ...lossMutants,
  ...bankMutants,
  ...gradientMutants,
  ...updateMutants,
];
