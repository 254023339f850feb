import type { Reference } from "@gradbank/bridge";
import { type Dataset, SentenceEncoder } from "@gradbank/core";

/** How a saved model compares with the one in memory. */
export interface SavedModelCheck {
  /** Largest difference of an embedding's numbers after loading the folder again. */
  readonly reloaded: number;
  /** The same in Python sentence-transformers; undefined without Python. */
  readonly python: number | undefined;
  /** Loaded again: the same to the last bit. In Python: to 1e-5. */
  readonly equal: boolean;
}

const checkedRows = 16;
const pythonTolerance = 1e-5;

/**
 * Loads a saved model again, here and in Python, and compares embeddings of a few rows with those of the model in
 * memory.
 *
 * @throws ModelFolderError or BridgeError when one of them cannot open the folder.
 */
export async function checkSavedModel(
  folder: string,
  encoder: SentenceEncoder,
  dataset: Dataset,
  { threads, reference }: { readonly threads: number; readonly reference: Reference | undefined },
): Promise<SavedModelCheck> {
  const rows = Int32Array.from({ length: Math.min(checkedRows, dataset.length) }, (_, row) => row);
  const texts = (await dataset.readRows(rows)).flat();
  const { data } = await encoder.encode(texts);
  const loaded = await SentenceEncoder.load(folder, { threads });
  const again = await loaded.encode(texts);
  await loaded.release();
  const reloaded = largestDistance(data, again.data);
  let python: number | undefined;
  if (reference) {
    const model = await reference.loadModel(folder);
    python = largestDistance(data, (await reference.encode(model, texts)).data);
    await reference.release(model);
  }
  return { reloaded, python, equal: reloaded === 0 && (python === undefined || python <= pythonTolerance) };
}

/** Infinite when the two are of different length, or a number is not one. */
function largestDistance(left: ArrayLike<number>, right: ArrayLike<number>): number {
  if (left.length !== right.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let index = 0; index < left.length; index++) {
    const distance = Math.abs(left[index]! - right[index]!);
    if (Number.isNaN(distance)) return Number.POSITIVE_INFINITY;
    largest = Math.max(largest, distance);
  }
  return largest;
}
