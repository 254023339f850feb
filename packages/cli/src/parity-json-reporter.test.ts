import { parityEventSchema } from "@gradbank/bridge";
import { DataError } from "@gradbank/core";
import { expect, it } from "vitest";
import { ParityJsonReporter } from "./parity-json-reporter.ts";
import { eventsOf, sampleReport } from "./testing/sample-parity.ts";

function open() {
  let [out, error] = ["", ""];
  const reporter = new ParityJsonReporter(
    (text) => {
      out += text;
    },
    (text) => {
      error += text;
    },
  );
  const lines = () =>
    out
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as unknown);
  return { reporter, lines, error: () => error };
}

it("writes every event as one line, and nothing else", () => {
  const { reporter, lines, error } = open();
  const events = eventsOf(sampleReport);
  reporter.activity();
  reporter.reference();
  for (const event of events) reporter.report(event);
  reporter.interrupt();
  reporter.end();
  expect(lines().map((line) => parityEventSchema.parse(line))).toEqual(events);
  expect(error()).toBe("");
});

it("writes an error as a line of its own, and for a person on standard error", () => {
  const { reporter, lines, error } = open();
  reporter.fail(new DataError("empty-file", "pairs.csv is empty.", { path: "pairs.csv" }));
  reporter.fail("text");
  expect(lines()).toEqual([
    { type: "error", message: "pairs.csv is empty.", code: "empty-file", facts: { path: "pairs.csv" } },
    { type: "error", message: "text" },
  ]);
  expect(error()).toMatch(/^Error \(empty-file\): pairs\.csv is empty\.\ntext\n/);
});
