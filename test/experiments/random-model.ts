import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type RandomModelOptions, Reference } from "@gradbank/bridge";
import { loadWordNet } from "@gradbank/core";

/** A random model, but for where it lies and what its tokenizer is trained on. */
export type RandomModel = Omit<RandomModelOptions, "folder" | "texts">;

/** Pairs whose texts the tokenizer is trained on, taken evenly from WordNet. */
const tokenizerPairs = 10_000;

/** Makes a random model with a tokenizer for WordNet; one that is there already is taken. */
export async function makeRandomModel(model: RandomModel, cache: string): Promise<string> {
  const dataset = await loadWordNet();
  const step = dataset.length / tokenizerPairs;
  const rows = await dataset.readRows(Int32Array.from({ length: tokenizerPairs }, (_, row) => Math.floor(row * step)));
  const folder = join(cache, `${model.architecture}-${model.layers}x${model.hiddenSize}`);
  await mkdir(cache, { recursive: true });
  const reference = await Reference.start();
  try {
    await reference.makeModel({ ...model, folder, texts: rows.flat() });
  } finally {
    await reference.close();
  }
  return folder;
}
