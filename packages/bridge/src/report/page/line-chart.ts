import { numberText } from "../number-text.ts";
import { type Html, html } from "./html.ts";

/** One line: its class colours it, its values stand in the order of `x`. Gaps: null, infinity, and 0 on a logarithmic scale. */
export interface Curve {
  readonly kind: "ours" | "reference";
  readonly values: readonly (number | null)[];
}

export interface LineChart {
  readonly title: string;
  /** Steps, ascending. */
  readonly x: readonly number[];
  readonly curves: readonly Curve[];
  readonly scale: "linear" | "logarithmic";
  /** Value with a line of its own: the limit. */
  readonly limit?: number;
}

const [width, height] = [260, 120];
const [left, right, top, bottom] = [46, 8, 8, 20];

/** Larger numbers are drawn at the edge: their distances overflow. */
const largest = 1e300;

/** A small line chart as inline SVG, with its title as a caption and its range in words for a screen reader. */
export function lineChart({ title, x, curves, scale, limit }: LineChart): Html {
  const isDrawn = (value: number | null) =>
    value !== null && Number.isFinite(value) && (scale === "linear" || value > 0);
  const values = curves.flatMap((curve) => curve.values).filter(isDrawn) as number[];
  if (values.length === 0) {
    return html`<figure class="chart"><figcaption>${title}</figcaption><p>Zero in every step.</p></figure>`;
  }
  const place = scale === "linear" ? (value: number) => Math.max(-largest, Math.min(value, largest)) : Math.log10;
  const places = values.map(place);
  const [low, high, ticks] = axis(limit === undefined ? places : [...places, place(limit)], scale);
  const toY = (place: number) => round(top + (1 - (place - low) / (high - low)) * (height - top - bottom));
  const [first, last] = [x[0] ?? 0, x.at(-1) ?? 0];
  const toX = (step: number) =>
    round(left + (last === first ? 0.5 : (step - first) / (last - first)) * (width - left - right));
  const line = (kind: string, y: number) =>
    html`<line class="${kind}" x1="${left}" x2="${width - right}" y1="${y}" y2="${y}"/>`;
  const tickText = (tick: number) =>
    scale === "linear" ? numberText(tick) : Math.abs(tick) > 3 ? `1e${tick}` : String(Number((10 ** tick).toFixed(3)));
  const label = `${title}, steps ${first} to ${last}: from ${numberText(minimum(values))} to ${numberText(-minimum(values.map((value) => -value)))}`;
  return html`<figure class="chart"><figcaption>${title}</figcaption>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">
${ticks.map((tick) => [line("tick", toY(tick)), html`<text x="${left - 4}" y="${toY(tick) + 3}" text-anchor="end">${tickText(tick)}</text>`])}
<text x="${left}" y="${height - 5}">${first}</text><text x="${width - right}" y="${height - 5}" text-anchor="end">step ${last}</text>
${limit === undefined ? undefined : line("limit", toY(place(limit)))}
${curves.map(({ kind, values }) => html`<path class="${kind}" d="${path(x, values, isDrawn, toX, (value) => toY(place(value)))}"/>`)}
</svg></figure>`;
}

/** Ends and ticks of the vertical axis: whole decades, or the values' own range with some air. */
function axis(places: readonly number[], scale: LineChart["scale"]): [low: number, high: number, ticks: number[]] {
  const [low, high] = [minimum(places), -minimum(places.map((place) => -place))];
  if (scale === "linear") {
    const air = (high - low) * 0.05 || Math.abs(high) * 0.1 || 1;
    return [low - air, high + air, low === high ? [low] : [low, low + (high - low) / 2, high]];
  }
  const [lowest, highest] = [Math.floor(low), Math.max(Math.ceil(high), Math.floor(low) + 1)];
  const distance = Math.ceil((highest - lowest) / 3);
  const ticks = [lowest];
  while (ticks.at(-1)! + distance <= highest) ticks.push(ticks.at(-1)! + distance);
  return [lowest, highest, ticks];
}

function minimum(values: readonly number[]): number {
  return values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
}

/** Path through the points that are there; one alone between gaps is drawn as a dot. */
function path(
  x: readonly number[],
  values: readonly (number | null)[],
  isDrawn: (value: number | null) => boolean,
  toX: (step: number) => number,
  toY: (value: number) => number,
): string {
  let [data, isOpen] = ["", false];
  values.forEach((value, index) => {
    const drawn = isDrawn(value);
    if (drawn) data += `${isOpen ? "L" : "M"}${toX(x[index]!)} ${toY(value!)}${isOpen ? "" : "h0"}`;
    isOpen = drawn;
  });
  return data;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
