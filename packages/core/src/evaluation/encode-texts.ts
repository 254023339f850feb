import { checkEmbeddings, type Embeddings, truncateEmbeddings } from "../embeddings.ts";
import { OptionError } from "../errors.ts";
import type { TextEncoder } from "./evaluator.ts";

export interface EncodeTextsOptions {
  /** Who asks, for messages. */
  evaluator: string;
  /** What the texts are, for messages: "query". */
  kind: string;
  /** Texts that the encoder encodes at once. */
  batchSize: number;
  /** How many numbers of each embedding are kept, from the first. Default: all. */
  truncateDim?: number | undefined;
}

/**
 * Encodes texts for an evaluator.
 *
 * @returns One row a text. Throws OptionError when the encoder gives other than one finite row a text, and when rows are
 *   shorter than `truncateDim`.
 */
export async function encodeTexts(
  encoder: TextEncoder,
  texts: readonly string[],
  { evaluator, kind, batchSize, truncateDim }: EncodeTextsOptions,
): Promise<Embeddings> {
  const embeddings = await encoder.encode(texts, { batchSize });
  checkEmbeddings(embeddings, evaluator);
  if (embeddings.rows !== texts.length) {
    throw new OptionError(
      "invalid-input",
      `${evaluator}: the encoder gave ${embeddings.rows} embeddings for ${texts.length} texts; expected one a text.`,
      { found: embeddings.rows, expected: texts.length },
    );
  }
  const wrong = embeddings.data.findIndex((value) => !Number.isFinite(value));
  if (wrong !== -1) {
    const text = texts[Math.floor(wrong / embeddings.dimension)]!;
    throw new OptionError(
      "invalid-input",
      `${evaluator}: the encoder gave ${embeddings.data[wrong]} in the embedding of the ${kind} ${JSON.stringify(text.slice(0, 80))}; expected finite numbers. Are the weights of the model finite?`,
      { text, found: embeddings.data[wrong] },
    );
  }
  return truncateDim === undefined ? embeddings : truncateEmbeddings(embeddings, truncateDim);
}
