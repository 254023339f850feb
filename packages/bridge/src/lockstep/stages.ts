/**
 * The points of a step at which both sides are compared, in the order in which data flows through them. The first stage
 * that differs is where to look: everything after it follows from it.
 */
export const stages = [
  /** Options, versions, hashes of weights and tokenizer: compared once, before the first step. */
  "configuration",
  /** Token ids of the batch's texts. */
  "tokens",
  /** Embeddings of the first pass, one tensor a column. */
  "embeddings",
  /** Logits of the loss's softmax, masks and penalties included. */
  "scores",
  /** Which logit of each row is its positive's. */
  "labels",
  /** The loss. */
  "loss",
  /** Gradient of the loss with respect to the embeddings. */
  "embedding-gradients",
  /** GradCache's second pass, which must repeat the first bit by bit, on each side. */
  "replayed-embeddings",
  /** Rows that the bank holds after the batch, and after the update. */
  "bank",
  /** Gradients of the weights, summed over the accumulation group. */
  "parameter-gradients",
  /** Norm of all gradients, by which they are clipped. */
  "clip-norm",
  /** AdamW's running means. */
  "moments",
  /** Weights after the update. */
  "weights",
] as const;

/** Name of a stage. */
export type Stage = (typeof stages)[number];

/** Place of a stage in the order of the data. */
export function stageOrder(stage: Stage): number {
  return stages.indexOf(stage);
}
