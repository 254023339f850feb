import fc from "fast-check";
import { expect, it } from "vitest";
import { amountText, cosineText, multipleText, numberText, secondsText, shareText } from "./number-text.ts";

it("keeps as many digits as were asked for", () => {
  const numbers = fc.double({ noNaN: true, min: -1e300, max: 1e300 });
  fc.assert(
    fc.property(numbers, fc.integer({ min: 1, max: 15 }), (value, digits) => {
      expect(Number(numberText(value, digits))).toBe(Number(value.toPrecision(digits)));
    }),
  );
  fc.assert(
    fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
      expect(Math.fround(Number(numberText(value, 9))) === value).toBe(true);
    }),
  );
});

it("writes numbers as a person reads them", () => {
  expect(numberText(Number.MAX_VALUE)).not.toContain("Infinity");
  const numbers = [0, 0.0123456, 42, 123.456, 999_999, 1e6, 1.5e-7, -0.00012, 1e300];
  const texts = ["0", "0.0123", "42", "123", "1e6", "1e6", "1.5e-7", "-1.2e-4", "1e300"];
  expect(numbers.map((value) => numberText(value))).toEqual(texts);
  expect([9999, 12_345, 1.5e-7].map(multipleText)).toEqual(["10000", "1.2e4", "1.5e-7"]);
  expect([numberText(undefined), numberText(null), multipleText(null)]).toEqual(["–", "not finite", "∞"]);
  expect([amountText(1, "step"), amountText(5120, "step")]).toEqual(["1 step", "5,120 steps"]);
  expect([shareText(12, 768), shareText(0, 0)]).toEqual(["12 of 768 (1.6 %)", "0 of 0 (0 %)"]);
});

it("writes times", () => {
  const seconds = [0, 0.4216, 9.87, 42.123, 59.4, 59.7, 125, 3599.7, 3725];
  const texts = ["0 s", "0.42 s", "9.9 s", "42.1 s", "59.4 s", "1 min 0 s", "2 min 5 s", "1 h 0 min", "1 h 2 min"];
  expect(seconds.map(secondsText)).toEqual(texts);
});

it("shows how far a cosine is from 1", () => {
  expect([1, 1 - 2 ** -30, 1 + 2 ** -52, 0.5, -1].map(cosineText)).toEqual([
    "1",
    "1 - 9.3e-10",
    "1 + 2.2e-16",
    "0.5",
    "-1",
  ]);
  expect([cosineText(null), cosineText(undefined)]).toEqual(["one is zero", "–"]);
});
