import { describe, expect, it } from "vitest";
import { compareExactly, compareFacts, compareSketches, compareValues, missing } from "./compare-values.ts";
import { explain, namedFactor } from "./explain.ts";
import { sketch } from "./sketch.ts";
import { euclideanNorm } from "./statistics.ts";

const reference = Float64Array.from({ length: 12 }, (_, index) => Math.sin(index + 1));
const noise = { max: 1e-7, rms: 3e-8 };
const compare = (ours: ArrayLike<number>, more: Partial<Parameters<typeof compareValues>[0]> = {}) =>
  compareValues({ name: "column 1", shape: [3, 4], ours, reference, noise, ...more });

describe("explain", () => {
  it("names a factor, where the largest difference is, and what would pass", () => {
    expect(explain(compare(reference.map((value) => 2 * value)))).toBe(
      "column 1: 1 at [2, 2] (ours -2, reference -1), 4.1e7 x noise (8 allowed); 100 % of 12 elements differ; " +
        "our norm is 2.000 times the reference's: a factor of 2; cosine 1.0000; a tolerance of 0.59 would pass",
    );
  });

  it("tells how few elements differ, without a factor that is none", () => {
    const ours = reference.with(5, 0.032);
    expect(explain(compare(ours))).toMatch(
      /^column 1: 0\.311 at \[1, 1\] \(ours 3\.2e-2, reference -0\.279\), 5\.1e6 x noise \(8 allowed\); 8\.3 % of 12 elements differ; our norm is 0\.9\d+ times the reference's; cosine 0\.99\d\d; a tolerance of 0\.32 would pass$/,
    );
  });

  it("says that all elements together are beyond the limit", () => {
    const ours = reference.map((value) => value + 3e-7);
    expect(explain(compare(ours, { noise: { max: 1e-7, rms: 1e-8 } }))).toContain(
      "no element alone is beyond the limit, all together are: root mean square 3e-7, noise 1e-8",
    );
  });

  it("speaks of tolerances, sketches, zeros and equality", () => {
    expect(explain(compare(reference.with(0, 1), { noise: undefined }))).toMatch(/ x the tolerance; /);
    const zeros = reference.map(() => 1e-8);
    expect(explain(compare(reference, { reference: zeros }))).toContain("; the reference is zero but for rounding; ");
    expect(explain(compare(reference, { reference: zeros }))).not.toContain("norm");
    const norms = { ourNorm: 2 * euclideanNorm(reference), referenceNorm: euclideanNorm(reference) };
    const sketches = { ours: sketch(reference.map((value) => 2 * value)), reference: sketch(reference) };
    expect(explain(compareSketches({ name: "t", shape: [3, 4], noise, ...norms, ...sketches }))).toMatch(
      /^t: its sketch differs by .*, .* x noise \(8 allowed\); our norm is 2\.000 times the reference's: a factor of 2; cosine 1\.0000$/,
    );
    expect(explain(compare(reference))).toBe("column 1: equal, 0 x noise (8 allowed)");
    const near = reference.map((value) => value + 2e-8);
    expect(explain(compare(near))).toMatch(
      /^column 1: equal, 1\.\d x noise \(8 allowed\); largest difference 2e-8 at \[/,
    );
    expect(explain(compare(near, { noise: undefined }))).toContain("equal, 2e-3 x the tolerance");
  });

  it("puts every other reason into words", () => {
    expect(explain(missing("norm", "reference"))).toBe("norm: the reference does not have it");
    expect(explain(compare(reference, { ourShape: [4, 3] }))).toBe("column 1: our shape [4, 3], reference [3, 4]");
    expect(explain(compare(reference.with(6, Number.NaN)))).toBe(
      `column 1: 1 number is not finite: ours NaN, reference ${reference[6]} at [1, 2]`,
    );
    const [ours, expected] = [Int32Array.of(1, 2, 7), Int32Array.of(1, 2, 3)];
    const whole = { name: "batch0", shape: [3], ours, reference: expected };
    expect(explain(compareExactly(whole))).toBe(
      "batch0: not the same at [2] (ours 7, reference 3); 33 % of 3 elements differ",
    );
    expect(explain(compareExactly({ ...whole, reference: ours }))).toBe("batch0: the same");
    expect(explain(compareExactly({ name: "t", shape: [1], ours: [-0], reference: [0], bits: true }))).toBe(
      "t: not the same bit by bit at [0] (ours -0, reference 0); 100 % of 1 elements differ",
    );
    const [scale, pooling] = compareFacts({ scale: 20, pooling: "mean" }, { scale: 10, pooling: "mean" }).map(explain);
    expect([scale, pooling]).toEqual(["scale: ours 20, reference 10", 'pooling: equal, "mean"']);
  });
});

describe("namedFactor", () => {
  const named = (change: (value: number) => number) => namedFactor(compare(reference.map(change)));

  it("names whole factors, their reciprocals and the sign", () => {
    expect(named((value) => 2 * value)).toBe("a factor of 2");
    expect(named((value) => value / 8)).toBe("a factor of 1/8");
    expect(named((value) => -value)).toBe("the opposite sign");
    expect(named((value) => -64 * value)).toBe("the opposite sign and a factor of 64");
  });

  it("names nothing else", () => {
    expect(named((value) => value)).toBeUndefined();
    expect(named((value) => 1.3 * value)).toBeUndefined();
    expect(named((value) => 2.003 * value)).toBeUndefined();
    expect(namedFactor(compare(reference.toReversed().map((value) => 2 * value)))).toBeUndefined();
    expect(
      namedFactor(
        compare(
          reference.map((value) => 2 * value),
          { noise: { max: 10, rms: 10 } },
        ),
      ),
    ).toBeUndefined();
    expect(namedFactor(missing("t", "ours"))).toBeUndefined();
  });
});
