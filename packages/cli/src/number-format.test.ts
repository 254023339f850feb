import fc from "fast-check";
import { expect, it } from "vitest";
import {
  formatAmount,
  formatChange,
  formatCount,
  formatMagnitude,
  formatMegabytes,
  formatMultiple,
  formatSeconds,
} from "./number-format.ts";

it.each([
  [0, "0 s"],
  [0.04, "0.0 s"],
  [7, "7 s"],
  [9.94, "9.9 s"],
  [9.96, "10 s"],
  [59.4, "59 s"],
  [59.6, "1 min 00 s"],
  [125, "2 min 05 s"],
  [3599.7, "1 h 00 min"],
  [7320, "2 h 02 min"],
])("formats %s seconds", (seconds, expected) => {
  expect(formatSeconds(seconds)).toBe(expected);
});

it("formats every time to within half a unit of what it shows", () => {
  fc.assert(
    fc.property(fc.double({ min: 10, max: 3599, noNaN: true }), (seconds) => {
      const [, minutes = "0", rest] = /^(?:(\d+) min )?(\d\d?) s$/.exec(formatSeconds(seconds))!;
      expect(Math.abs(Number(minutes) * 60 + Number(rest) - seconds)).toBeLessThanOrEqual(0.5);
    }),
  );
});

it("formats counts and amounts", () => {
  expect(formatCount(22_565_376)).toBe("22,565,376");
  expect([formatAmount(1, "step"), formatAmount(5120, "pair"), formatAmount(2, "query", "queries")]).toEqual([
    "1 step",
    "5,120 pairs",
    "2 queries",
  ]);
});

it.each([
  [0, "0"],
  [1e-4, "1e-4"],
  [3.14e-7, "3.1e-7"],
  [12, "1.2e1"],
  [Number.NaN, "NaN"],
  [Number.POSITIVE_INFINITY, "Infinity"],
])("formats the magnitude %s", (value, expected) => {
  expect(formatMagnitude(value)).toBe(expected);
});

it("formats changes with their sign, and none for one that rounds to nothing", () => {
  expect([0.06954, -0.01, 0, -0.00004].map(formatChange)).toEqual(["+0.0695", "-0.0100", "+0.0000", "+0.0000"]);
});

it.each([
  [3_167_232, "3.2 MB"],
  [812_646_400, "813 MB"],
])("formats %s bytes", (bytes, expected) => {
  expect(formatMegabytes(bytes)).toBe(expected);
});

it.each([
  [0, "0"],
  [1e-9, "<0.1"],
  [0.84, "0.8"],
  [9.94, "9.9"],
  [9.96, "10"],
  [999.4, "999"],
  [999.6, "1e3"],
  [512_345, "5e5"],
  [9.4e9, "9e9"],
  [1e10, "inf"],
  [Number.NaN, "inf"],
  [Number.POSITIVE_INFINITY, "inf"],
  [null, "inf"],
])("formats the multiple %s", (multiple, expected) => {
  expect(formatMultiple(multiple)).toBe(expected);
});
