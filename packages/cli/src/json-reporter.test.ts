import { DataError, trainingEventSchema } from "@gradbank/core";
import { expect, it } from "vitest";
import { JsonReporter } from "./json-reporter.ts";
import { sampleEvents } from "./testing/sample-events.ts";

function collect(): { reporter: JsonReporter; lines: () => Record<string, unknown>[]; error: () => string } {
  let [out, error] = ["", ""];
  const reporter = new JsonReporter(
    (text) => {
      out += text;
    },
    (text) => {
      error += text;
    },
  );
  return {
    reporter,
    lines: () =>
      out
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    error: () => error,
  };
}

it("writes every event as one line with type, version and time", () => {
  const { reporter, lines } = collect();
  for (const event of sampleEvents) reporter.report(event);
  expect(lines().map(({ type }) => type)).toEqual(sampleEvents.map(({ type }) => type));
  for (const line of lines()) {
    expect(line.version).toBe(1);
    expect(new Date(line.time as string).toISOString()).toBe(line.time);
  }
});

it("writes the trainer's events as events.jsonl has them", () => {
  const { reporter, lines } = collect();
  for (const event of sampleEvents) reporter.report(event);
  const training = lines().filter(({ type }) =>
    ["run-start", "step-end", "evaluation-end", "run-end"].includes(type as string),
  );
  expect(training.length).toBe(6);
  for (const line of training) trainingEventSchema.parse(line);
});

it("keeps numbers that are not finite visible", () => {
  const { reporter, lines } = collect();
  reporter.report({ type: "model-checked", reloaded: Number.POSITIVE_INFINITY, python: Number.NaN, equal: false });
  expect(lines()[0]).toMatchObject({ reloaded: "Infinity", python: "NaN", equal: false });
});

it("writes an error as an event, and for a person on standard error", () => {
  const { reporter, lines, error } = collect();
  reporter.fail(new DataError("empty-file", "pairs.csv is empty.", { path: "pairs.csv" }));
  expect(lines()[0]).toMatchObject({
    type: "error",
    version: 1,
    code: "empty-file",
    message: "pairs.csv is empty.",
    facts: { path: "pairs.csv" },
  });
  expect(error()).toBe("Error (empty-file): pairs.csv is empty.\n");
  reporter.fail("text");
  expect(lines()[1]).toMatchObject({ type: "error", message: "text" });
});
