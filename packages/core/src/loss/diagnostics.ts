import { gradientNorm } from "../optimizer/gradient-norm.ts";
import type { BankView } from "./bank-reader.ts";
import type { LossDiagnostics } from "./loss.ts";

/** Diagnostics from the gradients of each column, queries first, and what the bank contributed. */
export function describeStep(
  gradients: readonly Float32Array[],
  bank: BankView | undefined,
  positiveRank: number | undefined,
): LossDiagnostics {
  const queryGradientNorm = gradientNorm(gradients[0]!);
  const documentGradientNorm = Math.hypot(...gradients.slice(1).map(gradientNorm));
  return {
    queryGradientNorm,
    documentGradientNorm,
    gradientNormRatio: documentGradientNorm / queryGradientNorm,
    ...(bank && positiveRank !== undefined
      ? {
          bank: {
            rows: bank.bank.rows,
            oldestAge: bank.bank.oldestAge,
            positiveRank,
            maskedDuplicates: bank.maskedDuplicates,
          },
        }
      : {}),
  };
}
