/** A line of a chart. */
export interface ChartSeries {
  readonly label: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
  /** Draw each point; for lines of few points. Default false. */
  readonly markers?: boolean;
}

export interface Chart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly ChartSeries[];
  /** Let the vertical axis begin at 0. Default false: near the least value. */
  readonly fromZero?: boolean;
}

const plot = { left: 76, top: 44, width: 520, height: 320 } as const;
const height = plot.top + plot.height + 64;
const lineHeight = 20;

/** Colours that can be told apart with colour-blind eyes, after Okabe and Ito, for a light and for a dark ground. */
const colours: readonly (readonly [light: string, dark: string])[] = [
  ["#0072b2", "#56b4e9"],
  ["#d55e00", "#ff8a3d"],
  ["#007a5a", "#2fd0a4"],
  ["#b0428a", "#e58fc4"],
  ["#8a6d00", "#f0c420"],
  ["#4a4a4a", "#c8c8c8"],
  ["#6a3fb5", "#b197f5"],
  ["#a61b1b", "#ff7070"],
];
const dashes = ["none", "7 3", "2 3", "9 3 2 3"] as const;

/**
 * Draws lines over two linear axes as an SVG, readable on a light and on a dark ground.
 *
 * @throws RangeError when there is no point, or one that is not finite
 */
export function drawChart(chart: Chart): string {
  const points = chart.series.flatMap(({ points }) => points);
  if (points.length === 0) throw new RangeError(`chart "${chart.title}" has no point`);
  if (points.some(({ x, y }) => !Number.isFinite(x) || !Number.isFinite(y)))
    throw new RangeError(`chart "${chart.title}" has a point that is not finite`);
  const xTicks = niceTicks(0, Math.max(...points.map(({ x }) => x)), 6);
  const ys = points.map(({ y }) => y);
  const yTicks = niceTicks(chart.fromZero ? 0 : Math.min(...ys), Math.max(...ys), 6);
  const x = scale(xTicks, plot.left, plot.left + plot.width);
  const y = scale(yTicks, plot.top + plot.height, plot.top);
  const bottom = plot.top + plot.height;
  const middle = plot.left + plot.width / 2;
  const legendLeft = plot.left + plot.width + 22;
  const longest = Math.max(...chart.series.map(({ label }) => label.length));
  // About what a letter of the font takes: a label must not be cut off.
  const width = legendLeft + 46 + Math.ceil(7.4 * longest);
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeXml(chart.title)}">`,
    `<style>${style(chart.series.length)}</style>`,
    `<rect class="ground" width="${width}" height="${height}" rx="6"/>`,
    text(chart.title, plot.left, 26, "title"),
    ...yTicks.flatMap((tick) => [
      `<line class="grid" x1="${plot.left}" x2="${plot.left + plot.width}" y1="${y(tick)}" y2="${y(tick)}"/>`,
      text(formatTick(tick, yTicks), plot.left - 8, Number(y(tick)) + 4, "end"),
    ]),
    ...xTicks.flatMap((tick) => [
      `<line class="axis" x1="${x(tick)}" x2="${x(tick)}" y1="${bottom}" y2="${bottom + 5}"/>`,
      text(formatTick(tick, xTicks), Number(x(tick)), bottom + 20, "middle"),
    ]),
    `<path class="axis" d="M${plot.left} ${plot.top}V${bottom}H${plot.left + plot.width}"/>`,
    text(chart.xLabel, middle, bottom + 44, "middle"),
    `<text class="middle" transform="translate(20 ${plot.top + plot.height / 2}) rotate(-90)">${escapeXml(chart.yLabel)}</text>`,
    ...chart.series.flatMap(({ label, points, markers }, index) => {
      const row = plot.top + 12 + index * lineHeight;
      const path = points.map((point, place) => `${place === 0 ? "M" : "L"}${x(point.x)} ${y(point.y)}`).join("");
      return [
        `<path class="line s${index}" d="${path}"/>`,
        ...(markers
          ? points.map((point) => `<circle class="dot s${index}" cx="${x(point.x)}" cy="${y(point.y)}" r="3"/>`)
          : []),
        `<path class="line s${index}" d="M${legendLeft} ${row - 4}h24"/>`,
        text(label, legendLeft + 31, row, ""),
      ];
    }),
    "</svg>",
  ].join("\n")}\n`;
}

/**
 * Round numbers at equal distances, 1, 2 or 5 times a power of ten, from at most `least` to at least `most`.
 *
 * @param count about how many distances
 */
export function niceTicks(least: number, most: number, count: number): number[] {
  const range = most - least || Math.abs(most) || 1;
  const rough = range / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough * (1 - 1e-9)) ?? 10);
  const first = Math.floor(least / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(most / step - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

function scale(ticks: readonly number[], from: number, to: number): (value: number) => string {
  const [first, last] = [ticks[0]!, ticks.at(-1)!];
  return (value) => (from + ((value - first) / (last - first)) * (to - from)).toFixed(2).replace(/\.?0+$/, "");
}

function formatTick(tick: number, ticks: readonly number[]): string {
  const step = ticks[1]! - ticks[0]!;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Math.abs(tick) >= 10_000
    ? tick.toLocaleString("en-US", { maximumFractionDigits: digits })
    : tick.toFixed(digits);
}

function style(series: number): string {
  const used = Array.from({ length: series }, (_, index) => index);
  const colour = (index: number, ground: 0 | 1) => colours[index % colours.length]![ground];
  const dash = (index: number) => dashes[index % dashes.length]!;
  const dark = used.map(
    (index) => `.line.s${index}{stroke:${colour(index, 1)}}.dot.s${index}{fill:${colour(index, 1)}}`,
  );
  return [
    "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-size:15px;font-weight:600}",
    ".end{text-anchor:end}.middle{text-anchor:middle}.ground{fill:#ffffff}",
    ".grid{stroke:#d0d7de;stroke-width:1}.axis{stroke:#57606a;fill:none}.line{fill:none;stroke-width:2;stroke-linejoin:round}",
    ...used.map(
      (index) =>
        `.line.s${index}{stroke:${colour(index, 0)};stroke-dasharray:${dash(index)}}.dot.s${index}{fill:${colour(index, 0)}}`,
    ),
    "@media (prefers-color-scheme:dark){text{fill:#e6edf3}.ground{fill:#0d1117}.grid{stroke:#30363d}.axis{stroke:#8b949e}",
    ...dark,
    "}",
  ].join("");
}

function text(content: string, x: number, y: number, className: string): string {
  return `<text${className && ` class="${className}"`} x="${x}" y="${y}">${escapeXml(content)}</text>`;
}

function escapeXml(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
