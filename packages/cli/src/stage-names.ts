import type { Stage } from "@gradbank/bridge";

/** What the stages are called in text. */
export const stageNames: Readonly<Record<Stage, string>> = {
  configuration: "configuration",
  tokens: "token ids",
  embeddings: "embeddings",
  scores: "scores",
  labels: "labels",
  loss: "loss",
  "embedding-gradients": "dL/dE",
  "replayed-embeddings": "GradCache's second pass",
  bank: "bank",
  "parameter-gradients": "parameter gradients",
  "clip-norm": "gradient norm",
  moments: "AdamW's moments",
  weights: "weights",
};
