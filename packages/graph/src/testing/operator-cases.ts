import fc from "fast-check";
import type { DataType } from "../data-type.ts";
import type { Graph, Value } from "../graph.ts";
import * as op from "../index.ts";

/** An input of a case: floating inputs are differentiated, the others are given as they are. */
export interface CaseInput {
  readonly dataType: DataType;
  readonly shape: readonly number[];
  /** Range of floating values, or the values of an integer input. */
  readonly values?: readonly [number, number] | readonly number[];
  /** Values at least this far from each other: for functions with corners. */
  readonly spread?: number;
}

/** One application of an operator to inputs of random shapes. */
export interface OperatorCase {
  readonly operator: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly inputs: readonly CaseInput[];
  build(inputs: readonly Value[], graph: Graph): Value;
}

const size = fc.integer({ min: 1, max: 4 });
const shape = (minimum: number, maximum: number) => fc.array(size, { minLength: minimum, maxLength: maximum });
const real = (dimensions: readonly number[], values: [number, number] = [-2, 2], spread?: number): CaseInput => ({
  dataType: "float64",
  shape: dimensions,
  values,
  ...(spread === undefined ? {} : { spread }),
});

/** Two shapes that broadcast to one: each axis of either may be 1, leading axes of one may be missing. */
const broadcastPair = fc
  .tuple(shape(0, 3), fc.array(fc.constantFrom("both", "left", "right"), { minLength: 3, maxLength: 3 }), fc.nat(3))
  .map(([dimensions, kinds, dropped]) => {
    const left = dimensions.map((length, axis) => (kinds[axis] === "left" ? 1 : length));
    const right = dimensions.map((length, axis) => (kinds[axis] === "right" ? 1 : length));
    return [left, right.slice(Math.min(dropped, right.length))] as const;
  });

function unary(operator: string, range: [number, number], build: (x: Value) => Value, spread?: number) {
  return shape(0, 3).map(
    (dimensions): OperatorCase => ({
      operator,
      attributes: {},
      inputs: [real(dimensions, range, spread)],
      build: ([x]) => build(x!),
    }),
  );
}

function binary(operator: string, build: (a: Value, b: Value) => Value, range: [number, number] = [-2, 2]) {
  return broadcastPair.map(
    ([left, right]): OperatorCase => ({
      operator,
      attributes: {},
      inputs: [real(left, [-2, 2]), real(right, range)],
      build: ([a, b]) => build(a!, b!),
    }),
  );
}

function reduction(operator: string, build: typeof op.reduceSum) {
  return fc
    .tuple(shape(1, 3), fc.uniqueArray(fc.nat(2), { minLength: 1, maxLength: 3 }), fc.boolean())
    .map(([dimensions, chosen, keepDimensions]): OperatorCase => {
      const axes = [...new Set(chosen.map((axis) => axis % dimensions.length))].sort((a, b) => a - b);
      return {
        operator,
        attributes: { axes, keepDimensions },
        inputs: [real(dimensions, [-2, 2], operator === "reduceMax" ? 0.01 : undefined)],
        build: ([x]) => build(x!, { axes, keepDimensions }),
      };
    });
}

const matmul = fc
  .record({
    batch: shape(0, 2),
    broadcast: fc.boolean(),
    m: size,
    k: size,
    n: size,
    transposeA: fc.boolean(),
    transposeB: fc.boolean(),
    alpha: fc.constantFrom(1, 0.5),
  })
  .map(({ batch, broadcast, m, k, n, transposeA, transposeB, alpha }): OperatorCase => {
    const left = [...batch, ...(transposeA ? [k, m] : [m, k])];
    const right = [...(broadcast ? [] : batch), ...(transposeB ? [n, k] : [k, n])];
    return {
      operator: "matmul",
      attributes: { transposeA, transposeB, alpha },
      inputs: [real(left), real(right)],
      build: ([a, b]) => op.matmul(a!, b!, { transposeA, transposeB, alpha }),
    };
  });

const gather = fc
  .tuple(fc.integer({ min: 1, max: 5 }), shape(0, 2), shape(0, 2))
  .chain(([rows, indexShape, rest]) =>
    fc.tuple(
      fc.constant(rows),
      fc.constant(indexShape),
      fc.constant(rest),
      fc.array(fc.nat(rows - 1), { minLength: count(indexShape), maxLength: count(indexShape) }),
      fc.constantFrom("int64" as const, "int32" as const),
    ),
  );

/** Rows of different lengths in a padded matrix. */
function packing(operator: "pack" | "unpack") {
  return fc
    .tuple(fc.array(size, { minLength: 1, maxLength: 3 }), size, size)
    .map(([lengths, extra, width]): OperatorCase => {
      const length = Math.max(...lengths) + extra - 1;
      const isFilled = lengths.flatMap((own) => Array.from({ length }, (_, position) => (position < own ? 1 : 0)));
      const places = isFilled.flatMap((filled, place) => (filled ? [place] : []));
      let packed = -1;
      const origins = isFilled.map((filled) => (filled ? ++packed : Math.max(packed, 0)));
      return {
        operator,
        attributes: {},
        inputs: [
          real([operator === "pack" ? isFilled.length : places.length, width]),
          { dataType: "int64", shape: [places.length], values: places },
          { dataType: "int64", shape: [origins.length], values: origins },
          { dataType: "bool", shape: [isFilled.length, 1], values: isFilled },
        ],
        build: ([x, placesInput, originsInput, isFilledInput]) =>
          (operator === "pack" ? op.pack : op.unpack)(x!, {
            places: placesInput!,
            origins: originsInput!,
            isFilled: isFilledInput!,
          }),
      };
    });
}

/** Generators of cases, one an operator with a gradient rule. */
export const differentiableCases: Readonly<Record<string, fc.Arbitrary<OperatorCase>>> = {
  add: binary("add", op.add),
  subtract: binary("subtract", op.subtract),
  multiply: binary("multiply", op.multiply),
  divide: binary("divide", op.divide, [0.5, 2]),
  maximum: binary("maximum", op.maximum, [2.5, 4]).map((item) => ({
    ...item,
    inputs: [real(item.inputs[0]!.shape, [0, 6], 0.01), real(item.inputs[1]!.shape, [0.003, 6.003], 0.01)],
  })),
  negate: unary("negate", [-2, 2], op.negate),
  exp: unary("exp", [-2, 2], op.exp),
  log: unary("log", [0.2, 3], op.log),
  sqrt: unary("sqrt", [0.2, 3], op.sqrt),
  reciprocal: unary("reciprocal", [0.4, 3], op.reciprocal),
  tanh: unary("tanh", [-2, 2], op.tanh),
  sigmoid: unary("sigmoid", [-4, 4], op.sigmoid),
  relu: unary("relu", [-2.0049, 2], op.relu, 0.01),
  erf: unary("erf", [-2, 2], op.erf),
  gelu: unary("gelu", [-3, 3], op.gelu),
  matmul,
  linear: fc.record({ rows: size, input: size, output: size, bias: fc.boolean() }).map(
    ({ rows, input, output, bias }): OperatorCase => ({
      operator: "linear",
      attributes: {},
      inputs: [real([rows, input]), real([output, input]), ...(bias ? [real([output])] : [])],
      build: ([x, weight, b]) => op.linear(x!, weight!, b),
    }),
  ),
  reshape: shape(1, 3).map((dimensions): OperatorCase => {
    const target = [count(dimensions), 1];
    return {
      operator: "reshape",
      attributes: { shape: target },
      inputs: [real(dimensions)],
      build: ([x]) => op.reshape(x!, target),
    };
  }),
  transpose: fc.tuple(shape(1, 4), fc.infiniteStream(fc.nat(9))).map(([dimensions, order]): OperatorCase => {
    const keys = dimensions.map((_, axis) => [order.next().value as number, axis] as const);
    const permutation = keys.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, axis]) => axis);
    return {
      operator: "transpose",
      attributes: { permutation },
      inputs: [real(dimensions)],
      build: ([x]) => op.transpose(x!, permutation),
    };
  }),
  expand: broadcastPair.map(([left, right]): OperatorCase => {
    const target = op.broadcastShapes(left, right) as number[];
    return {
      operator: "expand",
      attributes: { shape: target },
      inputs: [real(left)],
      build: ([x]) => op.expand(x!, target),
    };
  }),
  concat: fc
    .tuple(shape(1, 3), fc.nat(2), fc.array(size, { minLength: 1, maxLength: 3 }))
    .map(([dimensions, chosen, lengths]): OperatorCase => {
      const axis = chosen % dimensions.length;
      return {
        operator: "concat",
        attributes: { axis },
        inputs: lengths.map((length) => real(dimensions.map((other, index) => (index === axis ? length : other)))),
        build: (values) => op.concat(values as [Value, ...Value[]], axis),
      };
    }),
  slice: fc
    .tuple(shape(1, 3), fc.nat(2), fc.nat(3), fc.nat(3))
    .map(([dimensions, chosen, first, second]) => sliceCase(dimensions, chosen % dimensions.length, first, second)),
  pad: fc.tuple(shape(1, 3), fc.nat(2), fc.nat(3), fc.nat(3)).map(([dimensions, chosen, before, after]) => {
    const axis = chosen % dimensions.length;
    return {
      operator: "pad",
      attributes: { axis, before, after },
      inputs: [real(dimensions)],
      build: ([x]) => op.pad(x!, axis, before, after),
    } satisfies OperatorCase;
  }),
  gather: gather.map(
    ([rows, indexShape, rest, indices, dataType]): OperatorCase => ({
      operator: "gather",
      attributes: {},
      inputs: [real([rows, ...rest]), { dataType, shape: indexShape, values: indices }],
      build: ([table, index]) => op.gather(table!, index!),
    }),
  ),
  scatterAdd: gather.map(
    ([rows, indexShape, rest, indices, dataType]): OperatorCase => ({
      operator: "scatterAdd",
      attributes: { rows },
      inputs: [{ dataType, shape: indexShape, values: indices }, real([...indexShape, ...rest])],
      build: ([index, updates]) => op.scatterAdd(index!, updates!, rows),
    }),
  ),
  pack: packing("pack"),
  unpack: packing("unpack"),
  reduceSum: reduction("reduceSum", op.reduceSum),
  reduceMean: reduction("reduceMean", op.reduceMean),
  reduceMax: reduction("reduceMax", op.reduceMax),
  logSumExp: reduction("logSumExp", op.logSumExp),
  softmax: fc.tuple(shape(1, 3), fc.nat(2)).map(([dimensions, chosen]): OperatorCase => {
    const axis = chosen % dimensions.length;
    return {
      operator: "softmax",
      attributes: { axis },
      inputs: [real(dimensions)],
      build: ([x]) => op.softmax(x!, axis),
    };
  }),
  layerNormalization: fc.tuple(shape(0, 2), fc.integer({ min: 2, max: 5 })).map(
    ([leading, features]): OperatorCase => ({
      operator: "layerNormalization",
      attributes: { epsilon: 1e-3 },
      inputs: [real([...leading, features], [-2, 2], 0.02), real([features]), real([features])],
      build: ([x, weight, bias]) => op.layerNormalization(x!, weight!, bias!, 1e-3),
    }),
  ),
  where: broadcastPair.chain(([left, right]) =>
    fc.array(fc.nat(1), { minLength: count(left), maxLength: count(left) }).map(
      (condition): OperatorCase => ({
        operator: "where",
        attributes: {},
        inputs: [{ dataType: "bool", shape: left, values: condition }, real(left), real(right)],
        build: ([chosen, a, b]) => op.where(chosen!, a!, b!),
      }),
    ),
  ),
  dropout: shape(0, 3).chain((dimensions) =>
    fc.array(fc.nat(1), { minLength: count(dimensions), maxLength: count(dimensions) }).map(
      (mask): OperatorCase => ({
        operator: "dropout",
        attributes: { rate: 0.3 },
        inputs: [real(dimensions), { dataType: "uint8", shape: dimensions, values: mask }],
        build: ([x, kept]) => op.dropout(x!, kept!, 0.3),
      }),
    ),
  ),
};

/** Generators of cases for operators without a gradient. */
export const constantCases: Readonly<Record<string, fc.Arbitrary<OperatorCase>>> = {
  ...Object.fromEntries(
    Object.entries({ equal: op.equal, less: op.less, greater: op.greater, greaterOrEqual: op.greaterOrEqual }).map(
      ([operator, compare]) => [
        operator,
        broadcastPair.chain(([left, right]) =>
          fc
            .tuple(
              fc.array(fc.nat(2), { minLength: count(left), maxLength: count(left) }),
              fc.array(fc.nat(2), { minLength: count(right), maxLength: count(right) }),
            )
            .map(
              ([a, b]): OperatorCase => ({
                operator,
                attributes: {},
                inputs: [
                  { dataType: "int32", shape: left, values: a },
                  { dataType: "int32", shape: right, values: b },
                ],
                build: ([x, y]) => compare(x!, y!),
              }),
            ),
        ),
      ],
    ),
  ),
  and: broadcastPair.chain(([left, right]) =>
    fc
      .tuple(
        fc.array(fc.nat(1), { minLength: count(left), maxLength: count(left) }),
        fc.array(fc.nat(1), { minLength: count(right), maxLength: count(right) }),
      )
      .map(
        ([a, b]): OperatorCase => ({
          operator: "and",
          attributes: {},
          inputs: [
            { dataType: "bool", shape: left, values: a },
            { dataType: "bool", shape: right, values: b },
          ],
          build: ([x, y]) => op.and(x!, y!),
        }),
      ),
  ),
  not: shape(0, 2).chain((dimensions) =>
    fc.array(fc.nat(1), { minLength: count(dimensions), maxLength: count(dimensions) }).map(
      (values): OperatorCase => ({
        operator: "not",
        attributes: {},
        inputs: [{ dataType: "bool", shape: dimensions, values }],
        build: ([x]) => op.not(x!),
      }),
    ),
  ),
  cumulativeSum: fc.tuple(shape(1, 3), fc.nat(2)).map(([dimensions, chosen]): OperatorCase => {
    const axis = chosen % dimensions.length;
    return {
      operator: "cumulativeSum",
      attributes: { axis },
      inputs: [real(dimensions)],
      build: ([x]) => op.cumulativeSum(x!, axis),
    };
  }),
};

function sliceCase(dimensions: readonly number[], axis: number, first: number, second: number): OperatorCase {
  const length = dimensions[axis]!;
  const start = Math.min(first % length, second % length);
  const end = Math.max(first % length, second % length) + 1;
  return {
    operator: "slice",
    attributes: { axis, start, end },
    inputs: [real(dimensions)],
    build: ([x]) => op.slice(x!, axis, start, end),
  };
}

function count(dimensions: readonly number[]): number {
  return dimensions.reduce((product, length) => product * length, 1);
}

/**
 * Values of a case's inputs from a seed. Floating inputs are drawn from their range; with a `spread` they are
 * distinct multiples of it, so that no finite difference steps over a corner.
 */
export function drawInputs(inputs: readonly CaseInput[], seed: number): number[][] {
  let state = seed >>> 0 || 1;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return inputs.map(({ dataType, shape: dimensions, values, spread }) => {
    if (dataType !== "float64" && dataType !== "float32") return [...values!];
    const [low, high] = values as readonly [number, number];
    const drawn = new Set<number>();
    return Array.from({ length: count(dimensions) }, () => {
      let value = low + (high - low) * next();
      if (spread !== undefined)
        do value = low + spread * Math.floor(((high - low) / spread) * next());
        while (drawn.has(value));
      drawn.add(value);
      return value;
    });
  });
}
