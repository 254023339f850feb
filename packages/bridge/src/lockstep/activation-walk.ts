import { compareValues } from "../comparison/compare-values.ts";
import { NoiseFloor } from "../comparison/noise-floor.ts";
import type { TensorComparison } from "../comparison/tensor-comparison.ts";
import type { OurSide } from "./our-side.ts";
import type { ReferenceActivation, ReferenceSide } from "./reference-side.ts";
import type { JudgeOptions } from "./stage-comparer.ts";

/** One module's output on both sides. */
export interface ComparedActivation {
  readonly module: string;
  readonly comparison: TensorComparison;
}

/** Which embeddings to walk to. */
export interface WalkTarget {
  readonly batch: number;
  readonly column: number;
  /** Token ids of that column. */
  readonly tokens: readonly ArrayLike<number>[];
}

/**
 * Walks through an encoder's modules in the order of computation, on both sides, until the first whose output differs.
 *
 * Must be called between the reference's `step` and `update`: both sides then have the step's weights.
 *
 * @returns the modules up to the first that differs; all of them when none does; none where the reference kept no outputs
 * (a golden folder).
 */
export async function walkActivations(
  ours: OurSide,
  side: ReferenceSide,
  { batch, column, tokens }: WalkTarget,
  { limit, tolerance = { absolute: 1e-6, relative: 1e-4 } }: JudgeOptions = {},
): Promise<ComparedActivation[]> {
  const theirs = new Map((await side.activations(batch, column)).map((output) => [output.module, output]));
  const outputs = (
    await ours.encoder.programs.activations({
      sequences: tokens as readonly Int32Array[],
      rows: Int32Array.from(tokens.keys()),
      column,
      dropout: ours.dropoutKey(batch),
    })
  ).filter(({ module }) => theirs.has(module));
  const references = outputs.map(({ module }) => theirs.get(module)!);
  const floors = noiseFloors(references);
  const walked: ComparedActivation[] = [];
  for (const [index, { module, shape, data }] of outputs.entries()) {
    const reference = references[index]!;
    const noise = floors[index];
    const comparison = compareValues({
      name: module,
      shape: reference.shape,
      ours: data,
      ourShape: shape,
      reference: reference.value,
      ...(noise ? { noise } : { tolerance }),
      ...(limit === undefined ? {} : { limit }),
    });
    walked.push({ module, comparison });
    if (!comparison.equal) break;
  }
  return walked;
}

function noiseFloors(outputs: readonly ReferenceActivation[]) {
  if (outputs.some(({ noise }) => !noise)) return [];
  return new NoiseFloor().floors(
    outputs.map(({ module, value, noise }) => ({
      name: module,
      scale: Math.sqrt(value.reduce((sum, number) => sum + number * number, 0) / Math.max(value.length, 1)),
      elements: value.length,
      noise: noise!,
    })),
  );
}
