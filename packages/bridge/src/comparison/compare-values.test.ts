import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type CompareValuesOptions,
  compareSketches,
  compareValues,
  defaultLimit,
  defaultTolerance,
  missing,
} from "./compare-values.ts";
import { sketch } from "./sketch.ts";
import { euclideanNorm, ulpDistance } from "./statistics.ts";
import { type TensorComparison, tensorComparisonSchema } from "./tensor-comparison.ts";

const value = fc.oneof(
  fc.constantFrom(0, -0, 1, 2 ** -149),
  fc.float({ noNaN: true, min: -1000, max: 1000 }),
  // Nothing whose square vanishes.
  fc.double({ noNaN: true, min: -1e-3, max: 1e-3 }).map((number) => (Math.abs(number) < 1e-40 ? 0 : number)),
);
/** Tensors of any shape: the reference, and ours, near it or not. */
const tensors = fc
  .array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 })
  .chain((shape) => {
    const elements = shape.reduce((product, size) => product * size, 1);
    const values = fc.array(value, { minLength: elements, maxLength: elements });
    const factors = fc.oneof(fc.constant(0), fc.constant(1e-6), fc.constant(1));
    return fc.tuple(fc.constant(shape), values, values, factors);
  })
  .map(([shape, reference, other, factor]) => ({
    shape,
    reference,
    ours: reference.map((expected, index) => expected + factor * (other[index]! - expected)),
  }));
const noises = fc.record({
  max: fc.double({ noNaN: true, min: 0, max: 10 }),
  rms: fc.double({ noNaN: true, min: 0, max: 1 }),
});
const tolerances = fc.record({
  absolute: fc.constantFrom(0, 1e-6, 1),
  relative: fc.constantFrom(0, 1e-6, 1),
});

const compare = (options: Omit<CompareValuesOptions, "name">): TensorComparison => {
  const comparison = compareValues({ name: "t", ...options });
  expect(tensorComparisonSchema.parse(comparison)).toEqual(comparison);
  return comparison;
};
/** Equal to 12 digits, null being infinite. */
const expectNear = (actual: number | null | undefined, expected: number) => {
  if (actual === null || actual === undefined || !Number.isFinite(expected)) {
    expect([actual, Number.isFinite(expected)]).toEqual([null, false]);
    return;
  }
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-12 * Math.abs(expected) + 1e-300);
};
const quotient = (a: number, b: number) => (a === 0 ? 0 : a / b);
const squares = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number ** 2, 0);

describe("compareValues", () => {
  it("computes what the formulas say", () => {
    fc.assert(
      fc.property(tensors, fc.option(noises, { nil: undefined }), tolerances, (drawn, noise, tolerance) => {
        const { shape, ours, reference } = drawn;
        const result = compare({ shape, ours, reference, noise, tolerance, limit: 5 });
        const elements = reference.length;
        const differences = reference.map((expected, index) => Math.abs(ours[index]! - expected));
        const largest = Math.max(0, ...differences);
        const rms = Math.sqrt(squares(differences) / Math.max(elements, 1));
        const scale = Math.sqrt(squares(reference) / Math.max(elements, 1));
        const magnitudes = reference.map(Math.abs);

        expect(result).toMatchObject({ name: "t", shape, elements, sketched: false, limit: noise ? 5 : 1 });
        expectNear(result.rms, rms);
        expectNear(result.scale, scale);
        const relatives = differences.map((difference, index) => quotient(difference, magnitudes[index]!));
        expectNear(result.relative, Math.max(0, ...relatives));
        const required = differences.map((difference, index) => quotient(difference, scale + magnitudes[index]!));
        expectNear(result.requiredTolerance, Math.max(0, ...required));
        const allowed = magnitudes.map((size) =>
          noise ? 5 * noise.max : tolerance.absolute + tolerance.relative * size,
        );
        expect(result.mismatched).toBe(differences.filter((difference, index) => difference > allowed[index]!).length);
        const shares = differences.map((difference, index) => quotient(difference, allowed[index]!));
        const weight = 2 - 1 / Math.sqrt(Math.max(elements, 1));
        const multiple = noise
          ? Math.max(quotient(largest, noise.max), weight * quotient(rms, noise.rms))
          : Math.max(0, ...shares);
        expectNear(result.multiple, multiple);
        const margin = Math.abs(multiple - result.limit) / result.limit;
        if (margin > 1e-9) expect(result.equal).toBe(multiple <= result.limit);
        expect(result.reason).toBe(result.equal ? undefined : noise ? "noise" : "tolerance");
        expect(result.zero).toBe(elements > 0 && Math.max(...magnitudes) <= (noise?.max ?? 0));
        expect(result.noise).toEqual(noise);

        const [ourNorm, norm] = [Math.sqrt(squares(ours)), Math.sqrt(squares(reference))];
        expectNear(result.normRatio, ourNorm / norm);
        const product = ours.reduce((sum, our, index) => sum + our * reference[index]!, 0);
        if (ourNorm > 1e-140 && norm > 1e-140)
          expect(Math.abs(result.cosine! - product / ourNorm / norm)).toBeLessThan(1e-9);
        else expect(result.cosine).toBeNull();

        if (elements === 0)
          expect([result.worst, result.worstRelative, result.ulp]).toEqual(new Array(3).fill(undefined));
        else {
          expect(result.worst!.difference).toBe(largest);
          expectNear(
            Number.isFinite(relatives[result.worstRelative!.index]!) ? result.relative : null,
            relatives[result.worstRelative!.index]!,
          );
          for (const element of [result.worst!, result.worstRelative!]) {
            const flat = element.position.reduce((index, place, axis) => index * shape[axis]! + place, 0);
            expect(flat).toBe(element.index);
            expect([element.ours, element.reference]).toEqual([ours[flat], reference[flat]]);
          }
          const ulps = ours.map((our, index) => ulpDistance(our, reference[index]!)).toSorted((a, b) => a - b);
          expectNear(result.ulp!.max, ulps.at(-1)!);
          const median = ulps[Math.ceil(elements / 2) - 1]!;
          expect(result.ulp!.p50).toBeLessThanOrEqual(Math.max(median, Math.fround(median)));
          expect(result.ulp!.p50).toBeGreaterThanOrEqual(
            Math.min(median * (1 - 2 ** -5) - 2 ** -131, Number.MAX_VALUE),
          );
        }
      }),
    );
  });

  it("gives the same for every kind of array", () => {
    const [ours, reference] = [
      [1, 2.5, 3],
      [1, 2, 4],
    ];
    const expected = compare({ shape: [3], ours, reference });
    expect(compare({ shape: [3], ours: Float32Array.from(ours), reference: Float64Array.from(reference) })).toEqual(
      expected,
    );
    expect(compare({ shape: [3], ours: Float64Array.from(ours), reference: Float32Array.from(reference) })).toEqual(
      expected,
    );
  });

  it("judges by the defaults", () => {
    const noise = { max: 1e-6, rms: 1e-6 };
    const judged = (difference: number, more: object) =>
      compare({ shape: [], ours: [difference], reference: [0], ...more });
    expect(judged(1e-6 * defaultLimit, { noise }).equal).toBe(true);
    expect(judged(1.01e-6 * defaultLimit, { noise })).toMatchObject({
      equal: false,
      reason: "noise",
      limit: defaultLimit,
    });
    expect(judged(defaultTolerance.absolute, {}).equal).toBe(true);
    expect(judged(1.01 * defaultTolerance.absolute, {})).toMatchObject({ equal: false, reason: "tolerance", limit: 1 });
  });

  it("judges large tensors by twice their root mean square too", () => {
    const reference = new Float64Array(10_000);
    const noise = { max: 4e-6, rms: 1e-6 };
    const ours = (size: number) => reference.map((_, index) => (index % 2 === 0 ? size : -size));
    expect(compare({ shape: [100, 100], ours: ours(3.9e-6), reference, noise }).equal).toBe(true);
    const beyond = compare({ shape: [100, 100], ours: ours(4.1e-6), reference, noise });
    expect(beyond).toMatchObject({ equal: false, reason: "noise", mismatched: 0, zero: true });
    expect(beyond.multiple).toBeCloseTo(1.99 * 4.1, 10);
  });

  it("allows nothing where the noise floor or the tolerance is zero", () => {
    const exact = { shape: [2], reference: [1, 0], noise: { max: 0, rms: 0 } };
    expect(compare({ ...exact, ours: [1, 0] })).toMatchObject({ equal: true, multiple: 0, requiredTolerance: 0 });
    expect(compare({ ...exact, ours: [1, 1e-40] })).toMatchObject({ equal: false, multiple: null, mismatched: 1 });
    const tolerance = { absolute: 0, relative: 0 };
    expect(compare({ ...exact, ours: [1, 1e-40], noise: undefined, tolerance })).toMatchObject({
      equal: false,
      multiple: null,
    });
    expect(compare({ shape: [1], ours: [1], reference: [0] })).toMatchObject({
      relative: null,
      requiredTolerance: null,
      normRatio: null,
      cosine: null,
    });
  });

  it("finds every number that is not finite, wherever it stands and on whichever side", () => {
    const bad = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
    const places = fc.uniqueArray(fc.nat({ max: 23 }), { minLength: 1, maxLength: 5 });
    const where = fc.constantFrom("ours", "reference", "both");
    fc.assert(
      fc.property(places, bad, where, fc.boolean(), fc.boolean(), (indices, number, side, masked, measured) => {
        const sides = { ours: new Float32Array(24).fill(1), reference: new Float64Array(24).fill(1) };
        for (const index of indices)
          for (const name of ["ours", "reference"] as const)
            if (side !== (name === "ours" ? "reference" : "ours")) sides[name][index] = number;
        const noise = measured ? { max: 1, rms: 1 } : undefined;
        const result = compare({ shape: [4, 6], ...sides, noise, maskedInfinity: masked });
        if (masked && side === "both" && number === Number.NEGATIVE_INFINITY) {
          expect(result).toMatchObject({
            equal: true,
            multiple: 0,
            mismatched: 0,
            scale: 1,
            normRatio: 1,
            elements: 24,
          });
          expect(result.cosine).toBeCloseTo(1, 12);
          return;
        }
        const first = Math.min(...indices);
        expect(result).toMatchObject({
          equal: false,
          reason: "not-finite",
          mismatched: indices.length,
          multiple: null,
        });
        expect(result).toMatchObject({ rms: null, scale: null, cosine: null, normRatio: null, relative: null });
        expect(result.requiredTolerance).toBeNull();
        expect(result.worst).toMatchObject({
          index: first,
          position: [Math.floor(first / 6), first % 6],
          difference: null,
        });
        expect(result.worst!.ours).toBe(side === "reference" ? 1 : null);
        expect(result.detail).toMatch(/^[1-5] numbers? (is|are) not finite: /);
        expect(result.detail).toContain(`: ours ${sides.ours[first]}, reference ${sides.reference[first]}`);
      }),
    );
  });

  it("leaves masked scores out, and nothing else", () => {
    const masked = Number.NEGATIVE_INFINITY;
    const scores = {
      shape: [4],
      reference: [masked, 2, 3, masked],
      maskedInfinity: true,
      noise: { max: 0.1, rms: 0.1 },
    };
    const result = compare({ ...scores, ours: [masked, 2.1, 3, masked] });
    expect(result).toMatchObject({ equal: true, worst: { index: 1 }, elements: 4 });
    expect(result.scale).toBeCloseTo(Math.sqrt(13 / 2), 12);
    expect(compare({ ...scores, ours: [2, 2, 3, masked] })).toMatchObject({
      reason: "not-finite",
      worst: { index: 0 },
    });
    const all = compare({ shape: [1], ours: [masked], reference: [masked], maskedInfinity: true });
    expect(all).toMatchObject({ equal: true, zero: false });
    expect(all.worst).toBeUndefined();
  });

  it("tells different shapes, and refuses numbers that do not fit theirs", () => {
    const six = new Float32Array(6);
    expect(compare({ shape: [2, 3], ourShape: [3, 2], ours: six, reference: six })).toMatchObject({
      equal: false,
      reason: "shape",
      detail: "our shape [3, 2], reference [2, 3]",
      multiple: null,
    });
    expect(compare({ shape: [6], ours: [1], reference: six })).toMatchObject({ reason: "shape" });
    expect(compare({ shape: [6], ourShape: [6, 1], ours: six, reference: six })).toMatchObject({ reason: "shape" });
    expect(() => compare({ shape: [2, 4], ours: six, reference: six })).toThrow(
      'Tensor "t" of the reference has 6 numbers; its shape [2, 4] needs 8.',
    );
  });

  it("refuses to judge by noise, tolerances and limits that are no sizes", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, -1]) {
      for (const judged of [
        { noise: { max: bad, rms: 1 } },
        { noise: { max: 1, rms: bad } },
        { limit: bad },
        { tolerance: { absolute: bad, relative: 0 } },
      ])
        expect(() => compare({ shape: [1], ours: [1], reference: [1], ...judged })).toThrow(
          expect.objectContaining({ code: "invalid-input", facts: expect.objectContaining({ name: "t", value: bad }) }),
        );
    }
  });

  it("takes a million numbers in under a tenth of a second", () => {
    const reference = Float64Array.from({ length: 1 << 20 }, (_, index) => Math.sin(index));
    const ours = Float32Array.from(reference);
    const noise = { max: 3e-8, rms: 1.2e-8 };
    const seconds: number[] = [];
    for (let round = 0; round < 5; round++) {
      const started = process.cpuUsage();
      expect(compare({ shape: [1024, 1024], ours, reference, noise }).equal).toBe(true);
      seconds.push(process.cpuUsage(started).user / 1e6);
    }
    expect(Math.min(...seconds)).toBeLessThan(0.1);
  });
});

describe("compareSketches", () => {
  const reference = Float64Array.from({ length: 2000 }, (_, index) => Math.cos(index));
  const noise = { max: 1e-5, rms: 1e-5 };
  const compared = (ours: Float64Array, more: object = {}) => {
    const comparison = compareSketches({
      name: "weight",
      shape: [40, 50],
      ours: sketch(ours),
      ourNorm: euclideanNorm(ours),
      reference: sketch(reference),
      referenceNorm: euclideanNorm(reference),
      noise,
      ...more,
    });
    expect(tensorComparisonSchema.parse(comparison)).toEqual(comparison);
    return comparison;
  };

  it("takes rounding for equal and finds a single element that differs", () => {
    expect(compared(Float64Array.from(Float32Array.from(reference)))).toMatchObject({
      equal: true,
      sketched: true,
      elements: 2000,
      shape: [40, 50],
    });
    for (let index = 0; index < 2000; index += 7) {
      expect(compared(reference.with(index, reference[index]! + 2e-4))).toMatchObject({
        equal: false,
        reason: "noise",
      });
    }
  });

  it("knows the norms, and nothing of elements", () => {
    const result = compared(reference.map((number) => number * 3));
    expect(result.normRatio).toBeCloseTo(3, 12);
    expect(result.cosine).toBeCloseTo(1, 12);
    for (const field of ["worst", "worstRelative", "relative", "mismatched", "ulp"])
      expect(result).not.toHaveProperty(field);
    expect(result.multiple).toBeGreaterThan(1e5);
  });

  it("is judged like numbers: limits, tolerances, shapes, what is not finite", () => {
    const near = reference.with(3, reference[3]! + 2e-4);
    expect(compared(near, { limit: 100 }).equal).toBe(true);
    expect(compared(near, { noise: undefined })).toMatchObject({ reason: "tolerance" });
    expect(compared(near, { noise: undefined, tolerance: { absolute: 1e-2, relative: 0 } }).equal).toBe(true);
    expect(compared(near, { ourShape: [50, 40] })).toMatchObject({ reason: "shape", sketched: true, elements: 2000 });
    expect(compared(near, { ours: [1] })).toMatchObject({ reason: "shape", shape: [40, 50] });
    expect(compared(reference.with(0, Number.NaN))).toMatchObject({
      reason: "not-finite",
      detail: expect.stringMatching(/^of its sketch, 1 number is not finite: ours NaN, reference -?\d/),
      multiple: null,
    });
  });
});

it("reports what one side does not have", () => {
  const comparison = missing("pooler.weight", "ours", { shape: [2, 3] });
  expect(tensorComparisonSchema.parse(comparison)).toEqual(comparison);
  expect(comparison).toMatchObject({
    equal: false,
    reason: "missing",
    elements: 6,
    detail: "our side does not have it",
  });
  expect(missing("t", "reference").detail).toBe("the reference does not have it");
});
