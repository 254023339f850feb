import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sketch, sketchBlock, sketchGain } from "./sketch.ts";

/** The weight of the i-th element of a block, by the definition: whole numbers of any size. */
function weight(place: number): number {
  const magnitude = Number((BigInt(place) * 2654435761n) % 2n ** 32n) / 2 ** 32 + 0.5;
  const ones = ((BigInt(place) * 2246822519n) % 2n ** 32n).toString(2).replaceAll("0", "").length;
  return ones % 2 === 1 ? -magnitude : magnitude;
}

const numbers = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 }), { maxLength: 700 });

describe("sketch", () => {
  it("is the dot product of each block of 256, padded with zeros, with the weights", () => {
    fc.assert(
      fc.property(numbers, (values) => {
        const result = sketch(Float32Array.from(values));
        expect(result.length).toBe(Math.ceil(values.length / 256));
        for (const [block, value] of result.entries()) {
          const part = values.slice(block * 256, (block + 1) * 256);
          const expected = part.reduce((sum, element, index) => sum + element * weight(index + 1), 0);
          expect(Math.abs(value - expected)).toBeLessThanOrEqual(1e-9);
        }
      }),
    );
  });

  it("weighs no two elements of a block alike, half of them negative", () => {
    const weights = Array.from({ length: sketchBlock }, (_, index) => weight(index + 1));
    expect(new Set(weights.map(Math.abs)).size).toBe(sketchBlock);
    expect(weights.every((value) => Math.abs(value) >= 0.5 && Math.abs(value) < 1.5)).toBe(true);
    expect(weights.filter((value) => value < 0).length).toBeGreaterThan(110);
    expect(weights.filter((value) => value < 0).length).toBeLessThan(146);
    expect(sketchGain).toBeCloseTo(Math.hypot(...weights), 10);
  });

  it("changes when elements, rows or signs are swapped", () => {
    const changed = (edit: (values: Float32Array) => void) => {
      const values = Float32Array.from({ length: 1000 }, (_, index) => Math.sin(index));
      const before = sketch(values);
      edit(values);
      return sketch(values).some((value, block) => Math.abs(value - before[block]!) > 1e-3);
    };
    expect(changed(() => {})).toBe(false);
    expect(changed((values) => values.set([values[1]!, values[0]!]))).toBe(true);
    expect(changed((values) => values.set(values.slice(32, 64), 0))).toBe(true);
    expect(changed((values) => values.set([-values[999]!], 999))).toBe(true);
  });

  it("takes any array and keeps what is not finite", () => {
    expect([...sketch([1, 2, 3])]).toEqual([...sketch(Float64Array.of(1, 2, 3))]);
    expect([...sketch([])]).toEqual([]);
    expect(sketch([Number.NaN, ...new Array(256).fill(1)])[0]).toBeNaN();
    expect(Number.isFinite(sketch([Number.NaN, ...new Array(256).fill(1)])[1])).toBe(true);
  });
});
