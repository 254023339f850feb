import { compareExactly } from "../comparison/compare-values.ts";
import type { TensorComparison } from "../comparison/tensor-comparison.ts";
import type { OurTensor } from "./our-side.ts";
import type { ReferenceTensor } from "./reference-side.ts";

/**
 * GradCache's second pass must repeat the first bit by bit on each side: if not, the gradients belong to other embeddings
 * than the loss. A side that does not replay has nothing to compare.
 */
export function compareReplays(ours: readonly OurTensor[], theirs: readonly ReferenceTensor[]): TensorComparison[] {
  return [
    ...compareSide(ours, ""),
    ...compareSide(
      theirs.map(({ stage, name, shape, value, sketch }) => ({ stage, name, shape, value: value ?? sketch! })),
      " of the reference",
    ),
  ];
}

function compareSide(tensors: readonly OurTensor[], whose: string): TensorComparison[] {
  const first = new Map(tensors.filter(({ stage }) => stage === "embeddings").map((tensor) => [tensor.name, tensor]));
  return tensors
    .filter(({ stage }) => stage === "replayed-embeddings")
    .map(({ name, shape, value }) =>
      compareExactly({
        name: `${name}${whose}`,
        shape: first.get(name)!.shape,
        ours: value,
        ourShape: shape,
        reference: first.get(name)!.value,
        bits: true,
      }),
    );
}
