import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DropoutSite, drawDropoutMask } from "./dropout.ts";

const sizes = { hiddenSize: 6, heads: 3, maximumLength: 16 };
const hidden: DropoutSite = { name: "embeddings", rate: 0.1, kind: "hidden" };
const attention: DropoutSite = { name: "layer0.attention", rate: 0.1, kind: "attention" };

describe("drawDropoutMask", () => {
  it("does not depend on how rows are grouped or padded", () => {
    const key = fc.record({ seed: fc.nat(), step: fc.nat(1e6) });
    const rows = fc.uniqueArray(fc.nat(200), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(
        key,
        rows,
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 0, max: 8 }),
        (k, all, length, extra) => {
          const padded = length + extra;
          const together = drawDropoutMask(
            k,
            1,
            2,
            hidden,
            all,
            all.map(() => padded),
            padded,
            sizes,
          ).data;
          const wide = drawDropoutMask(
            k,
            1,
            3,
            attention,
            all,
            all.map(() => padded),
            padded,
            sizes,
          ).data;
          all.forEach((row, index) => {
            const alone = drawDropoutMask(k, 1, 2, hidden, [row], [length], length, sizes).data;
            const start = index * padded * sizes.hiddenSize;
            expect(alone).toEqual(together.slice(start, start + length * sizes.hiddenSize));
            const narrow = drawDropoutMask(k, 1, 3, attention, [row], [length], length, sizes).data;
            const short = drawDropoutMask(k, 1, 3, attention, [row], [length], padded, sizes).data;
            for (let head = 0; head < sizes.heads; head++)
              for (let query = 0; query < length; query++) {
                const from = ((index * sizes.heads + head) * padded + query) * padded;
                const own = (head * length + query) * length;
                expect(narrow.slice(own, own + length)).toEqual(wide.slice(from, from + length));
                const inShort = (head * padded + query) * padded;
                expect(short.slice(inShort, inShort + length)).toEqual(wide.slice(from, from + length));
              }
          });
        },
      ),
      { numRuns: 50 },
    );
  });

  it("drops at the rate, independently of neighbours, rows, sites, columns and steps", () => {
    const rows = Array.from({ length: 64 }, (_, row) => row);
    const big = { hiddenSize: 512, heads: 1, maximumLength: 512 };
    for (const rate of [0.1, 0.5]) {
      const draw = (seed: number, step: number, column: number, site: number) =>
        drawDropoutMask(
          { seed, step },
          column,
          site,
          { ...hidden, rate },
          rows,
          rows.map(() => 16),
          16,
          big,
        ).data as Uint8Array;
      const base = draw(42, 7, 0, 0);
      const keep = 1 - rate;
      const deviation = Math.sqrt(keep * rate);
      // Five standard errors: a fair generator fails once in 1.7 million.
      const bound = 5 / Math.sqrt(base.length);
      expect(Math.abs(base.reduce((sum, bit) => sum + bit, 0) / base.length - keep)).toBeLessThan(bound * deviation);
      const others = [draw(43, 7, 0, 0), draw(42, 8, 0, 0), draw(42, 7, 1, 0), draw(42, 7, 0, 1)];
      const shifted = [1, 2, 3, 512, 513, 16 * 512].map((distance) => base.subarray(distance));
      for (const other of [...others, ...shifted]) {
        let product = 0;
        for (let index = 0; index < other.length; index++) product += (base[index]! - keep) * (other[index]! - keep);
        expect(Math.abs(product / other.length / (keep * rate))).toBeLessThan(5 / Math.sqrt(other.length));
      }
    }
  });

  it("keeps everything at rate 0", () => {
    const mask = drawDropoutMask({ seed: 1, step: 1 }, 0, 0, { ...hidden, rate: 0 }, [0, 1], [5, 5], 5, sizes).data;
    expect((mask as Uint8Array).every((bit) => bit === 1)).toBe(true);
  });
});
