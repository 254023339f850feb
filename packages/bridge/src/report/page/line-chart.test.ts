import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lineChart } from "./line-chart.ts";

const scales = ["linear", "logarithmic"] as const;
const values = fc.array(fc.option(fc.double()), {
  minLength: 1,
  maxLength: 20,
});

function draw(values: (number | null)[], scale: (typeof scales)[number], limit?: number): string {
  const x = values.map((_, index) => index + 1);
  const chart = { title: "<loss>", x, curves: [{ kind: "ours", values }], scale } as const;
  return lineChart(limit === undefined ? chart : { ...chart, limit }).markup;
}

/** The points of a path, as pairs. */
function points(markup: string): number[][] {
  const path = /<path class="ours" d="([^"]*)"/.exec(markup)?.[1] ?? "";
  return [...path.matchAll(/[ML](\S+) ([^\sLMh]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);
}

describe("lineChart", () => {
  it("draws each value that its scale can show inside the picture, higher for more", () => {
    fc.assert(
      fc.property(values, fc.constantFrom(...scales), (values, scale) => {
        const shown = values.filter(
          (value) => Number.isFinite(value) && (scale === "linear" || value! > 0),
        ) as number[];
        const markup = draw(values, scale);
        expect(markup).not.toMatch(/NaN|Infinity/);
        const drawn = points(markup);
        expect(drawn).toHaveLength(shown.length);
        for (const [index, [x, y]] of drawn.entries()) {
          expect(x! >= 0 && x! <= 260 && y! >= 0 && y! <= 120).toBe(true);
          for (const [other, [, otherY]] of drawn.entries()) {
            if (shown[index]! > shown[other]!) expect(y!).toBeLessThanOrEqual(otherY!);
          }
        }
      }),
    );
  });

  it("leaves gaps where a value is missing, and a dot for one alone", () => {
    const path = (values: (number | null)[]) =>
      /d="([^"]*)"/.exec(draw(values, "linear"))![1]!.replaceAll(/[\d. ]/g, "");
    expect([path([1, 2, 3]), path([1, null, 3, 4]), path([null, 2, null])]).toEqual(["MhLL", "MhMhL", "Mh"]);
  });

  it("spans decades with the limit in them", () => {
    const markup = draw([0.02, 0.5, 3], "logarithmic", 80);
    const labels = [...markup.matchAll(/text-anchor="end">([^<]+)</g)].map(([, text]) => text);
    // Five decades have ticks two apart.
    expect(labels).toEqual(["0.01", "1", "100", "step 3"]);
    expect(markup).toContain('class="limit"');
  });

  it("says what it shows to who does not see it, and says so where there is nothing to draw", () => {
    expect(draw([1, 2], "linear")).toContain('aria-label="&#60;loss&#62;, steps 1 to 2: from 1 to 2"');
    expect(draw([0, null], "logarithmic")).toContain("Zero in every step.");
  });
});
