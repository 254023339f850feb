import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OptionError } from "../errors.ts";
import { MersenneTwister, torchRandperm } from "./mersenne-twister.ts";
import { Pcg64 } from "./pcg64.ts";

interface Permutation {
  library: "torch" | "numpy";
  length: number;
  seed: number;
  sha256: string;
  again: string;
  order?: number[];
}

const fixture: Permutation[] = readFileSync(new URL("./__fixtures__/permutations.jsonl", import.meta.url), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line));

const sha256 = (order: Int32Array): string => createHash("sha256").update(new Uint8Array(order.buffer)).digest("hex");

describe.each([
  ["torch", MersenneTwister],
  ["numpy", Pcg64],
] as const)("permutation in the order of %s", (library, Generator) => {
  test.each(fixture.filter((entry) => entry.library === library))(
    "seed $seed, length $length",
    ({ seed, length, sha256: first, again, order }) => {
      const generator = new Generator(seed);
      const permutation = generator.permutation(length);
      if (order) expect([...permutation]).toEqual(order);
      expect(sha256(permutation)).toBe(first);
      expect(sha256(generator.permutation(length))).toBe(again);
    },
  );

  test("holds every number once", () => {
    fc.assert(
      fc.property(fc.nat(2000), fc.nat(2 ** 32 - 1), (length, seed) => {
        const sorted = [...new Generator(seed).permutation(length)].sort((left, right) => left - right);
        expect(sorted).toEqual(Array.from({ length }, (_, index) => index));
      }),
    );
  });

  test.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])("refuses the seed %s", (seed) => {
    expect(() => new Generator(seed)).toThrow(OptionError);
    expect(() => new Generator(seed)).toThrow(`seed is ${seed}`);
  });

  test.each([-1, 1.5, Number.NaN, 2 ** 31])("refuses the length %s", (length) => {
    expect(() => new Generator(1).permutation(length)).toThrow(OptionError);
  });
});

test("torchRandperm gives the golden orders of seeds 42 and 43", () => {
  expect([...torchRandperm(10, 42)]).toEqual([2, 6, 1, 8, 4, 5, 0, 9, 3, 7]);
  expect([...torchRandperm(10, 43)]).toEqual([8, 4, 9, 0, 5, 1, 6, 7, 2, 3]);
});

test("Pcg64 gives the golden order of seed 12 and numpy's raw draws", () => {
  expect([...new Pcg64(12).permutation(10)]).toEqual([7, 1, 5, 0, 3, 4, 2, 6, 9, 8]);
  expect(new Pcg64(12).nextUint64()).toBe(4626894586153389880n);
});
