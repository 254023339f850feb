import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Chart, drawChart, niceTicks } from "./chart.ts";

const chart: Chart = {
  title: 'Loss & "memory" <of> each batch',
  xLabel: "batch",
  yLabel: "MB > 0",
  series: [
    {
      label: "a & b",
      points: [
        { x: 1, y: 10 },
        { x: 2, y: 30 },
      ],
      markers: true,
    },
    {
      label: "<c>",
      points: [
        { x: 0, y: -5 },
        { x: 4, y: 12.5 },
        { x: 9, y: 7 },
      ],
    },
  ],
};

/** Checks that every tag is closed in order, attributes are quoted and text is escaped; returns the tags' names. */
function parseXml(text: string): string[] {
  const open: string[] = [];
  const names: string[] = [];
  let rest = text.trim();
  while (rest.length > 0) {
    const tag = /^<(\/?)([a-zA-Z][\w-]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>/.exec(rest);
    if (tag) {
      const [whole, closing, name, attributes, empty] = tag as unknown as [string, string, string, string, string];
      expect(attributes).not.toMatch(/&(?!(amp|lt|gt|quot);)/);
      if (closing) expect(open.pop()).toBe(name);
      else {
        names.push(name);
        if (!empty) open.push(name);
      }
      rest = rest.slice(whole.length);
    } else {
      const content = /^[^<]+/.exec(rest)?.[0];
      if (content === undefined) throw new Error(`not XML at: ${rest.slice(0, 80)}`);
      expect(content).not.toMatch(/&(?!(amp|lt|gt|quot);)/);
      rest = rest.slice(content.length);
    }
    if (open.length === 0 && rest.length > 0) throw new Error(`content after the root: ${rest.slice(0, 80)}`);
  }
  expect(open).toEqual([]);
  return names;
}

/** Ends of a drawing's lines, [x, y]. */
function linePoints(svg: string): [number, number][][] {
  return [...svg.matchAll(/class="line s\d+" d="((?:[ML][\d. -]+)+)"/g)].map(([, path]) =>
    path!
      .split(/[ML]/)
      .filter(Boolean)
      .map((pair) => pair.split(" ").map(Number) as [number, number]),
  );
}

describe("drawChart", () => {
  it("is well-formed XML with all texts", () => {
    const svg = drawChart(chart);
    const names = parseXml(svg);
    expect(names[0]).toBe("svg");
    expect(names.filter((name) => name === "circle")).toHaveLength(2);
    for (const text of ["Loss &amp; &quot;memory&quot; &lt;of&gt; each batch", "a &amp; b", "&lt;c&gt;", "MB &gt; 0"])
      expect(svg).toContain(text);
    expect(svg).toContain("prefers-color-scheme:dark");
  });

  it("keeps every point inside the axes, in the right order", () => {
    const coordinate = fc.integer({ min: 0, max: 1e9 }).map((value) => value / 1000);
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.record({ x: coordinate, y: coordinate }), { minLength: 1, maxLength: 12 }), {
          minLength: 1,
          maxLength: 5,
        }),
        fc.boolean(),
        (lines, fromZero) => {
          const svg = drawChart({
            ...chart,
            fromZero,
            series: lines.map((points, index) => ({ label: `${index}`, points })),
          });
          parseXml(svg);
          const drawn = linePoints(svg);
          expect(drawn.map((points) => points.length)).toEqual(lines.map((points) => points.length));
          for (const [index, points] of drawn.entries())
            for (const [place, [x, y]] of points.entries()) {
              expect(x).toBeGreaterThanOrEqual(76);
              expect(x).toBeLessThanOrEqual(596);
              expect(y).toBeGreaterThanOrEqual(44);
              expect(y).toBeLessThanOrEqual(364);
              const [given, before] = [lines[index]![place]!, lines[index]![place - 1]];
              if (before && given.x > before.x) expect(x).toBeGreaterThanOrEqual(points[place - 1]![0]);
              if (before && given.y > before.y) expect(y).toBeLessThanOrEqual(points[place - 1]![1]);
            }
        },
      ),
    );
  });

  it("refuses nothing to draw and numbers that are not finite", () => {
    expect(() => drawChart({ ...chart, series: [] })).toThrow(/no point/);
    expect(() => drawChart({ ...chart, series: [{ label: "", points: [{ x: 0, y: Number.NaN }] }] })).toThrow(/finite/);
  });
});

describe("niceTicks", () => {
  it("gives round numbers", () => {
    expect(niceTicks(0, 100, 5)).toEqual([0, 20, 40, 60, 80, 100]);
    expect(niceTicks(0.441, 0.472, 6)).toEqual([0.44, 0.45, 0.46, 0.47, 0.48]);
    expect(niceTicks(5, 5, 6).length).toBeGreaterThan(1);
  });

  it("encloses its range with few equal distances", () => {
    fc.assert(
      fc.property(
        fc.double({ min: -1e6, max: 1e6, noNaN: true }),
        fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
        fc.integer({ min: 2, max: 10 }),
        (least, range, count) => {
          const ticks = niceTicks(least, least + range, count);
          const step = ticks[1]! - ticks[0]!;
          expect(ticks[0]).toBeLessThanOrEqual(least + step * 1e-6);
          expect(ticks.at(-1)).toBeGreaterThanOrEqual(least + range - step * 1e-6);
          expect(ticks.length).toBeLessThanOrEqual(count + 3);
          expect((ticks.at(-1)! - ticks[0]!) / (ticks.length - 1)).toBeCloseTo(step, 6);
        },
      ),
    );
  });
});
