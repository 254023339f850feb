import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { RandomArchitecture, RandomModelOptions, Reference } from "@gradbank/bridge";

/** Texts of very different lengths: batches of them are ragged. */
export const sampleTexts = [
  "the bank keeps embeddings of earlier batches",
  "gradient",
  "a sentence encoder turns a text into a vector of numbers that can be compared with others",
  "mean pooling takes the average of all token vectors but those of padding",
  "queries and documents",
  "words in this text repeat repeat repeat repeat and repeat until the text is long enough to be the longest of all the texts here",
  "loss rows in chunks",
  "what is a hard negative?",
  "a negative that looks like a positive",
  "training in TypeScript",
  "dropout masks are drawn from a counter, so that the second pass repeats the first",
  "an embedding",
  "one two three four five six seven eight nine ten eleven twelve",
  "normalise, then take the dot product",
  "ONNX Runtime",
  "the last one is neither short nor long",
] as const;

const cache = join(import.meta.dirname, "..", ".cache", "models");

/** Folder of a small random model that transformers made from a fixed seed; made once and kept. */
export async function smallModel(
  reference: Reference,
  architecture: RandomArchitecture,
  options: Partial<Omit<RandomModelOptions, "architecture" | "folder" | "texts">> = {},
): Promise<string> {
  const suffix = Object.entries(options).map(([name, value]) => `-${name}-${value}`);
  await mkdir(cache, { recursive: true });
  const folder = join(cache, `${architecture}${suffix.join("")}`);
  await reference.makeModel({ architecture, folder, texts: sampleTexts, seed: 7, ...options });
  return folder;
}

/** Columns of a batch: anchors, positives and negatives of `rows` rows, texts that differ in length. */
export function sampleColumns(rows: number, columns: number): string[][] {
  return Array.from({ length: columns }, (_, column) =>
    Array.from({ length: rows }, (_, row) => sampleTexts[(row * columns + column) % sampleTexts.length]!),
  );
}
