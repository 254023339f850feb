import { describe, expect, it } from "vitest";
import { normalNumbers } from "../testing/normal-numbers.ts";
import { compareValues } from "./compare-values.ts";
import type { Noise } from "./noise.ts";
import { type MeasuredTensor, NoiseFloor } from "./noise-floor.ts";
import { noiseOfGradients, noiseOfLoss, noiseOfScores } from "./propagated-noise.ts";
import { largestMagnitude, rootMeanSquare } from "./statistics.ts";

const tensor = (name: string, scale: number, noise: Noise, more: Partial<MeasuredTensor> = {}): MeasuredTensor => ({
  name,
  scale,
  elements: 1,
  noise,
  ...more,
});
const same = (size: number): Noise => ({ max: size, rms: size });
const floor = (floors: NoiseFloor, measured: MeasuredTensor): Noise => floors.floors([measured])[0]!;

describe("NoiseFloor", () => {
  it("takes the noise of the step when it knows nothing larger", () => {
    expect(floor(new NoiseFloor(), tensor("t", 1, { max: 5e-6, rms: 1e-6 }))).toEqual({ max: 5e-6, rms: 1e-6 });
  });

  it("remembers the largest noise of a tensor over 16 steps", () => {
    const floors = new NoiseFloor();
    floor(floors, tensor("t", 1, same(3e-6)));
    floor(floors, tensor("t", 1, same(2e-6)));
    floor(floors, tensor("t", 1, same(1e-6)));
    for (let step = 4; step <= 16; step++) expect(floor(floors, tensor("t", 1, same(1e-6)))).toEqual(same(3e-6));
    expect(floor(floors, tensor("t", 1, same(1e-6)))).toEqual(same(2e-6));
    expect(floor(floors, tensor("another", 1, same(1e-6))).rms).toBe(1e-6);
  });

  it("lets one bad step excuse itself only", () => {
    const floors = new NoiseFloor();
    for (let step = 0; step < 5; step++) floor(floors, tensor("t", 1, same(1e-6)));
    expect(floor(floors, tensor("t", 1, same(1e-3))).rms).toBe(1e-3);
    expect(floor(floors, tensor("t", 1, same(1e-6))).rms).toBe(4e-6);
  });

  it("carries noise over as the smaller of its absolute and its relative size", () => {
    const tiny = new NoiseFloor();
    for (let step = 0; step < 3; step++) floor(tiny, tensor("loss", 1e-6, same(1e-6)));
    expect(floor(tiny, tensor("loss", 2, same(2e-7))).rms).toBe(1e-6);
    const large = new NoiseFloor();
    for (let step = 0; step < 3; step++) floor(large, tensor("loss", 2, same(1e-6)));
    expect(floor(large, tensor("loss", 0.02, same(1e-9))).rms).toBeCloseTo(1e-8, 14);
    // The same among the tensors of a stage.
    const batches = ["a", "b", "c"].map((name) => tensor(name, 1e-6, same(1e-6)));
    expect(new NoiseFloor().floors([...batches, tensor("d", 2, same(2e-7))])[3]!.rms).toBe(5e-7);
  });

  it("gives no tensor less than half of the median of its stage, for its size", () => {
    const noises = [1e-9, 4e-6, 4e-6, 4e-6, 9e-6].map((size, index) =>
      tensor(`t${index}`, 1, same(size), { elements: index === 0 ? 1000 : 1 }),
    );
    const [lucky, ...others] = new NoiseFloor().floors(noises);
    expect(lucky!.rms).toBe(2e-6);
    expect(lucky!.max).toBeCloseTo(2e-6 * Math.sqrt(2 * Math.log(1000)), 12);
    expect(others.map(({ rms }) => rms)).toEqual([4e-6, 4e-6, 4e-6, 9e-6]);
    // A tensor a thousand times smaller inherits a thousand times less.
    const small = [...noises.slice(1), tensor("small", 1e-3, same(0))];
    expect(new NoiseFloor().floors(small).at(-1)!.rms).toBeCloseTo(2e-9, 15);
  });

  it("does not go below the caller's bound, nor below half a unit in the last place of float32", () => {
    expect(floor(new NoiseFloor(), tensor("t", 1, same(0), { atLeast: 3e-6, elements: 1 }))).toEqual(same(3e-6));
    const bare = floor(new NoiseFloor(), tensor("t", 1.5, same(0), { largest: 6 }));
    expect(bare).toEqual({ rms: 2 ** -24, max: 2 ** -22 });
    expect(floor(new NoiseFloor(), tensor("t", 0, same(0))).rms).toBe(2 ** -150);
  });

  it("lets noise and scales that are not finite excuse nothing", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const floors = new NoiseFloor();
      floor(floors, tensor("t", 1, same(1e-6)));
      expect(floor(floors, tensor("t", 1, same(bad))).max).toBe(1e-6);
      expect(floor(floors, tensor("t", bad, same(1e-6), { largest: bad })).max).toBe(2 ** -150);
      expect(floor(floors, tensor("t", 1, same(1e-6), { atLeast: bad })).max).toBe(1e-6);
      const peers = [tensor("a", bad, same(bad)), tensor("b", 1, same(bad)), tensor("c", 1, same(1e-6))];
      expect(new NoiseFloor().floors(peers)[2]).toEqual(same(1e-6));
    }
  });
});

/** A way to compute in floating point: how a result is rounded, and in which order products are summed. */
interface Arithmetic {
  readonly round: (value: number) => number;
  /** Probabilities as exp(s - logsumexp(s)), as torch.logsumexp's gradient has them. Default: as softmax has them. */
  readonly logSumExp?: boolean;
  /** Sum over k of a(k) * b(k). */
  readonly dot: (length: number, a: (k: number) => number, b: (k: number) => number) => number;
}

const exactly: Arithmetic = {
  round: (value) => value,
  dot: (length, a, b) => {
    let sum = 0;
    for (let k = 0; k < length; k++) sum += a(k) * b(k);
    return sum;
  },
};
const { fround } = Math;
/** One accumulator, each product rounded: the plainest correct implementation, and the least accurate. */
const inOrder: Arithmetic = {
  round: fround,
  dot: (length, a, b) => {
    let sum = 0;
    for (let k = 0; k < length; k++) sum = fround(sum + fround(a(k) * b(k)));
    return sum;
  },
};
/** The same from the last to the first. */
const backwards: Arithmetic = {
  round: fround,
  dot: (length, a, b) =>
    inOrder.dot(
      length,
      (k) => a(length - 1 - k),
      (k) => b(length - 1 - k),
    ),
};
/** Fused multiply-add in eight lanes, then over the lanes: what matrix kernels do. */
const inLanes: Arithmetic = {
  round: fround,
  dot: (length, a, b) => {
    const lanes = new Float32Array(8);
    for (let k = 0; k < length; k++) lanes[k % 8] = lanes[k % 8]! + a(k) * b(k);
    for (let width = 4; width > 0; width >>= 1)
      for (let lane = 0; lane < width; lane++) lanes[lane] = lanes[lane]! + lanes[lane + width]!;
    return lanes[0]!;
  },
};
/** Halves, quarters, ...: the most accurate order. */
const inPairs: Arithmetic = {
  round: fround,
  dot: (length, a, b) => {
    const sum = (from: number, to: number): number => {
      if (to - from === 1) return fround(a(from) * b(from));
      const middle = (from + to) >> 1;
      return fround(sum(from, middle) + sum(middle, to));
    };
    return sum(0, length);
  },
};

interface Sizes {
  readonly rows: number;
  readonly width: number;
  readonly dimension: number;
}
type Step = Readonly<Record<string, readonly { readonly name: string; readonly values: number[] }[]>>;

/** A linear layer, layer norm, cosine scores, cross-entropy, and gradients down to the layer, from random inputs. */
function takeStep(seed: number, { rows, width, dimension }: Sizes, { round, dot, logSumExp }: Arithmetic): Step {
  const normal = normalNumbers(seed);
  const random = (length: number, size: number) => Array.from({ length }, () => fround(size * normal()));
  const input = random(2 * rows * width, 1);
  const weight = random(width * dimension, 1 / Math.sqrt(width));
  const one = () => 1;
  const table = (height: number, length: number, entry: (row: number, column: number) => number) =>
    Array.from({ length: height * length }, (_, index) => entry(Math.floor(index / length), index % length));

  const hidden = table(2 * rows, dimension, (row, column) =>
    dot(
      width,
      (k) => input[row * width + k]!,
      (k) => weight[k * dimension + column]!,
    ),
  );
  const embeddings = Array.from({ length: 2 * rows }, (_, row) => {
    const at = (k: number) => hidden[row * dimension + k]!;
    const mean = round(dot(dimension, at, one) / dimension);
    const centred = Array.from({ length: dimension }, (_, k) => round(at(k) - mean));
    const variance = round(
      dot(
        dimension,
        (k) => centred[k]!,
        (k) => centred[k]!,
      ) / dimension,
    );
    const normalized = centred.map((value) => round(value / round(Math.sqrt(round(variance + 1e-12)))));
    const norm = round(
      Math.sqrt(
        dot(
          dimension,
          (k) => normalized[k]!,
          (k) => normalized[k]!,
        ),
      ),
    );
    return normalized.map((value) => round(value / norm));
  });
  const scores = table(rows, rows, (row, column) =>
    round(
      20 *
        dot(
          dimension,
          (k) => embeddings[row]![k]!,
          (k) => embeddings[rows + column]![k]!,
        ),
    ),
  );
  const losses: number[] = [];
  const scoreGradients = Array.from({ length: rows }, (_, row) => {
    const own = scores.slice(row * rows, (row + 1) * rows);
    const largest = Math.max(...own);
    const exponentials = own.map((score) => round(Math.exp(round(score - largest))));
    const sum = dot(rows, (k) => exponentials[k]!, one);
    const partition = round(largest + round(Math.log(sum)));
    losses.push(round(partition - own[row]!));
    const probabilities = logSumExp
      ? own.map((score) => round(Math.exp(round(score - partition))))
      : exponentials.map((value) => round(value / sum));
    return probabilities.map((value, column) => round(round(value - (column === row ? 1 : 0)) / rows));
  });
  const loss = round(dot(rows, (k) => losses[k]!, one) / rows);
  const anchorGradients = table(rows, dimension, (row, column) =>
    round(
      20 *
        dot(
          rows,
          (k) => scoreGradients[row]![k]!,
          (k) => embeddings[rows + k]![column]!,
        ),
    ),
  );
  return {
    embeddings: [{ name: "embeddings", values: embeddings.flat() }],
    scores: [{ name: "scores", values: scores }],
    loss: [{ name: "loss", values: [loss] }],
    "embedding-gradients": [{ name: "anchors", values: anchorGradients }],
    "parameter-gradients": [
      {
        name: "weight",
        values: table(width, dimension, (row, column) =>
          dot(
            rows,
            (k) => input[k * width + row]!,
            (k) => anchorGradients[k * dimension + column]!,
          ),
        ),
      },
      {
        name: "bias",
        values: table(1, dimension, (_, column) => dot(rows, (k) => anchorGradients[k * dimension + column]!, one)),
      },
      // Softmax does not change when all scores of a row do: zero but for rounding, like attention's key biases.
      { name: "zero", values: table(1, rows, (_, row) => dot(rows, (k) => scoreGradients[row]![k]!, one)) },
    ],
  };
}

const taken = new Map<Arithmetic, Map<string, Step>>();

/** `takeStep`, once for the same arguments. */
function takenStep(seed: number, size: Sizes, arithmetic: Arithmetic): Step {
  const steps = taken.get(arithmetic) ?? new Map<string, Step>();
  taken.set(arithmetic, steps);
  const key = `${seed} ${size.rows}`;
  const step = steps.get(key) ?? takeStep(seed, size, arithmetic);
  steps.set(key, step);
  return step;
}

/** What a stage inherits from the floors of those before. */
function inherited(
  stage: string,
  known: Readonly<Record<string, Noise>>,
  rows: number,
  scale: number,
  loss: number,
): number {
  if (stage === "scores") return noiseOfScores(known.embeddings!, 20);
  if (stage === "loss") return noiseOfLoss(known.scores!, rows);
  return stage.endsWith("gradients") ? noiseOfGradients(known.scores!, scale, loss) : 0;
}

const sizes: readonly Sizes[] = [
  { rows: 2, width: 8, dimension: 4 },
  { rows: 4, width: 96, dimension: 8 },
  { rows: 8, width: 32, dimension: 16 },
];

/** Compares `steps` steps of a case: `ours` against exact numbers, with the noise of `reference`; multiples by stage. */
function compareCase(
  seed: number,
  size: Sizes,
  ours: Arithmetic,
  reference: Arithmetic,
  { steps = 3, propagated = true, fault = (_: string, values: number[], _noise: Noise) => values } = {},
) {
  const floors = new Map<string, NoiseFloor>();
  const found: { tensor: string; step: number; multiple: number; equal: boolean; zero: boolean }[] = [];
  for (let step = 0; step < steps; step++) {
    const [expected, rounded, other] = [exactly, reference, ours].map((way) => takenStep(seed * 100 + step, size, way));
    const known: Record<string, Noise> = {};
    for (const [stage, tensors] of Object.entries(expected!)) {
      const stageScale = rootMeanSquare(tensors.flatMap(({ values }) => values));
      const measured = tensors.map(({ name, values }, place): MeasuredTensor => {
        const differences = values.map((value, index) => rounded![stage]![place]!.values[index]! - value);
        return {
          name,
          scale: stageScale,
          largest: largestMagnitude(values),
          elements: values.length,
          noise: { max: largestMagnitude(differences), rms: rootMeanSquare(differences) },
          atLeast: propagated ? inherited(stage, known, size.rows, stageScale, expected!.loss![0]!.values[0]!) : 0,
        };
      });
      if (!floors.has(stage)) floors.set(stage, new NoiseFloor());
      const noises = floors.get(stage)!.floors(measured);
      known[stage] = noises[0]!;
      for (const [place, { name, values }] of tensors.entries()) {
        const comparison = compareValues({
          name,
          shape: [values.length],
          ours: fault(name, other![stage]![place]!.values, noises[place]!),
          reference: values,
          noise: noises[place]!,
        });
        const { equal, zero, multiple } = comparison;
        found.push({ tensor: name, step, equal, zero, multiple: multiple ?? Number.POSITIVE_INFINITY });
      }
    }
  }
  return found;
}

describe("a noise floor in use", () => {
  const ways = { inOrder, backwards, inLanes, inPairs };
  const pairs = Object.values(ways).flatMap((reference) =>
    Object.values(ways).flatMap((ours) => (ours === reference ? [] : [{ reference, ours }])),
  );
  const compareAll = (
    seeds: number,
    {
      among = sizes,
      between = pairs,
      ...options
    }: { readonly among?: readonly Sizes[]; readonly between?: typeof pairs } & Parameters<typeof compareCase>[4] = {},
  ) =>
    between.flatMap(({ reference, ours }) =>
      among.flatMap((size) =>
        Array.from({ length: seeds }, (_, seed) => compareCase(seed + 1, size, ours, reference, options)).flat(),
      ),
    );

  it("raises no false alarm for correct float32 with another order of summation", () => {
    const found = compareAll(10);
    expect(found.length).toBeGreaterThan(7000);
    expect(found.filter(({ equal }) => !equal)).toEqual([]);
    expect(found.filter(({ zero }) => zero).length).toBeGreaterThan(1000);
    // The floor is no blanket: half of the embeddings are beyond one and a half times of it.
    const multiples = found.filter(({ tensor }) => tensor === "embeddings").map(({ multiple }) => multiple);
    expect(multiples.toSorted((a, b) => a - b)[Math.floor(multiples.length / 2)]).toBeGreaterThan(1.5);
  });

  it("raises none for probabilities that go through a rounded log-sum-exp", () => {
    const found = Object.values(ways).flatMap((reference) =>
      Object.values(ways).flatMap((ours) =>
        [1, 2, 3, 4, 5].flatMap((seed) => compareCase(seed, sizes.at(-1)!, { ...ours, logSumExp: true }, reference)),
      ),
    );
    expect(found.filter(({ equal }) => !equal)).toEqual([]);
  });

  it("would without what earlier stages pass on: all tensors of a step can be lucky together", () => {
    const alarms = compareAll(5, { propagated: false })
      .flat()
      .filter(({ equal }) => !equal);
    expect(alarms.length).toBeGreaterThan(5);
  });

  const stages = ["embeddings", "scores", "loss", "anchors", "weight", "bias", "zero"];
  const faults = [
    {
      name: "all elements by 16 times the noise",
      apply: (values: number[], noise: Noise) => values.map((value) => value + 16 * noise.rms),
      tensors: stages,
      among: sizes,
    },
    {
      name: "one element by 16 times the largest noise",
      apply: (values: number[], noise: Noise) => values.with(values.length - 1, values.at(-1)! - 16 * noise.max),
      tensors: stages,
      among: sizes,
    },
    {
      name: "a factor of 1.001",
      apply: (values: number[]) => values.map((value) => 1.001 * value),
      // Where two rows are nearly certain, loss and gradients are mostly noise; of zero, any multiple is zero.
      tensors: stages.filter((tensor) => tensor !== "zero"),
      among: sizes.filter(({ rows }) => rows > 2),
    },
  ];
  for (const { name, apply, tensors, among } of faults) {
    it(`finds ${name}, in the tensor that has it and in no other`, () => {
      for (const faulty of tensors) {
        const fault = (tensor: string, values: number[], noise: Noise) =>
          tensor === faulty ? apply(values, noise) : values;
        for (const { tensor, equal, step } of compareAll(1, { fault, among, between: pairs.slice(0, 3) }))
          expect({ tensor, step, equal }).toEqual({ tensor, step, equal: tensor !== faulty });
      }
    });
  }
});
