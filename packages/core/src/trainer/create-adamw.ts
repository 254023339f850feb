import type { SentenceEncoder } from "../encoder/sentence-encoder.ts";
import { AdamW } from "../optimizer/adamw.ts";
import type { TrainingArguments } from "./arguments.ts";

/** The optimizer that a training run's arguments describe, over the weights that the encoder trains. */
export function createAdamW(
  encoder: Pick<SentenceEncoder, "parameters" | "trainedParameters">,
  trainingArguments: Pick<TrainingArguments, "adamBeta1" | "adamBeta2" | "adamEpsilon" | "weightDecay">,
): AdamW {
  const { adamBeta1, adamBeta2, adamEpsilon, weightDecay } = trainingArguments;
  return new AdamW(encoder.parameters, encoder.trainedParameters, {
    betas: [adamBeta1, adamBeta2],
    epsilon: adamEpsilon,
    weightDecay,
  });
}
