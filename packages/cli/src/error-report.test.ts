import { DataError } from "@gradbank/core";
import { expect, it } from "vitest";
import { describeError } from "./error-report.ts";
import { CommandError } from "./errors.ts";

it("shows the message and code of an error that was thrown on purpose, without a stack", () => {
  expect(describeError(new DataError("empty-file", "pairs.csv is empty."))).toBe(
    "Error (empty-file): pairs.csv is empty.",
  );
  expect(describeError(new CommandError("too-few-rows", "m"))).toBe("Error (too-few-rows): m");
});

it("shows anything else whole, and where to report it", () => {
  const text = describeError(new TypeError("x is not a function"));
  expect(text).toContain("TypeError: x is not a function\n    at ");
  expect(text).toContain("error-report.test.ts");
  expect(text).toContain("open an issue");
  expect(describeError("thrown text")).toMatch(/^thrown text\n/);
});
