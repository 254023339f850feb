import { DataError } from "@gradbank/core";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ParityTextReporter } from "./parity-text-reporter.ts";
import { equalReport, eventsOf, sampleReport } from "./testing/sample-parity.ts";

function open({ isInteractive = false, isColored = false, columns = 120 } = {}) {
  let [out, error] = ["", ""];
  let time = 0;
  const reporter = new ParityTextReporter({
    terminal: {
      write: (text) => {
        out += text;
      },
      isInteractive,
      isColored,
      columns: () => columns,
    },
    writeError: (text) => {
      error += text;
    },
    // Each look at the clock is two seconds later.
    now: () => {
      time += 2000;
      return time;
    },
  });
  return { reporter, out: () => out, error: () => error };
}

/** Tells a whole comparison. */
function tell(report = sampleReport, options = {}) {
  const opened = open(options);
  opened.reporter.activity("Starting Python");
  opened.reporter.reference({ Python: "3.11.7", torch: "2.13.0" });
  for (const event of eventsOf(report)) opened.reporter.report(event);
  opened.reporter.end([report], ["out/report.html"]);
  return opened;
}

/** What a terminal shows in the end of text with lines that were overwritten. */
function shown(text: string): string {
  return text
    .split("\n")
    .map((line) => line.split("\r\u001b[2K").at(-1)!)
    .join("\n");
}

afterEach(() => void vi.useRealTimers());

const transcript = `Reference: Python 3.11.7, torch 2.13.0

quick: 3 cases, 6 steps
A number: the worst difference, in multiples of Python's own float32 rounding.
ok: equal   !!: different   -: the step has no such stage

pairs: teacher-forced, 2 steps
   step tokens embeddings scores labels  loss dL/dE replay  bank gradients  norm moments weights
ok    1     ok        0.8      0     ok  <0.1   1.3     ok     -       3.2   0.2     0.5     0.5
ok    2     ok        0.8      0     ok  <0.1   1.3     ok     -       3.2   0.2     0.5     0.5

triplets (dropout=true): teacher-forced, 2 steps
   step tokens embeddings scores labels  loss dL/dE replay  bank gradients  norm moments weights
ok    1     ok        0.8      0     ok  <0.1   1.3     ok     -       3.2   0.2     0.5     0.5
!!    2     ok        0.8      0     ok  <0.1   1.3     ok     -     5e5!!   0.2     0.5     0.5
   First difference: step 2, parameter gradients
     encoder.layer.0.output.dense.weight: 0.125 at [1, 1] (ours 0.125, reference 0.25), 5.1e5 x noise

from the hub: teacher-forced, 2 steps
   step tokens embeddings scores labels  loss dL/dE replay  bank gradients  norm moments weights
?? could not compare (model-unavailable): The hub cannot be reached.

Summary of quick
ok pairs: 2 steps; nearest to its limit: parameter gradients of step 1, at 40 % (encoder.layer.0.output.dense.weight)
!! triplets (dropout=true): 2 steps; first difference in step 2: parameter gradients, encoder.layer.0.output.dense.weight
?? from the hub: 0 steps; could not compare: model-unavailable
Different from the reference in 1 of 3 cases; 1 could not be compared. 7 s.

Report: out/report.html
`;

describe("ParityTextReporter", () => {
  it("tells a comparison in plain lines", () => {
    const { out } = tell();
    expect(out()).toBe(`Starting Python ...\n${transcript}`);
    expect(out()).not.toContain("\u001b");
  });

  it("tells it on a terminal, with a line of progress that is drawn anew in place", () => {
    vi.useFakeTimers();
    const { out } = tell(sampleReport, { isInteractive: true });
    expect(shown(out())).toBe(transcript);
    const passing = out()
      .split("\r\u001b[2K")
      .filter((text) => text !== "" && !text.includes("\n"));
    expect(passing).toEqual([
      "Starting Python ...",
      "  ░░░░░░░░░░░░  case 1 of 3  step 1 of 2 ...",
      "  ██░░░░░░░░░░  case 1 of 3  step 2 of 2  20 s left ...",
      "  ████░░░░░░░░  case 1 of 3  closing  12 s left ...",
      "  ████░░░░░░░░  case 2 of 3  step 1 of 2  16 s left ...",
      "  ██████░░░░░░  case 2 of 3  step 2 of 2  10 s left ...",
      "  ████████░░░░  case 2 of 3  closing  6 s left ...",
      "  ████████░░░░  case 2 of 3  closing  7 s left ...",
      "  ████████░░░░  case 3 of 3  step 1 of 2  8 s left ...",
    ]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("stays within a narrow terminal, but for names and messages", () => {
    vi.useFakeTimers();
    const { out } = tell(equalReport, { isInteractive: true, columns: 80 });
    const lines = shown(out()).split("\n");
    expect(lines.find((line) => line.includes("dL/dW"))).toBe(
      "   step ids     E scores labels  loss dL/dE again  bank dL/dW  norm  m, v     W",
    );
    for (const line of lines) if (/^(ok|!!)? +(\d|step)/.test(line)) expect(line.length).toBeLessThan(80);
    for (const text of tell(equalReport, { isInteractive: true, columns: 40 }).out().split("\r\u001b[2K"))
      if (!text.includes("\n")) expect(text.length).toBeLessThan(40);
  });

  it("has colours where they are wanted, around the same text", () => {
    vi.useFakeTimers();
    const { out } = tell(sampleReport, { isInteractive: true, isColored: true });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
    expect(shown(out()).replaceAll(/\u001b\[\d+m/g, "")).toBe(transcript);
    expect(out()).toContain("\u001b[31mFirst difference");
  });

  it("explains the numbers once, however many suites there are", () => {
    const { reporter, out } = open();
    for (const suite of ["one", "two"]) for (const event of eventsOf({ ...equalReport, suite })) reporter.report(event);
    expect(out().match(/A number:/g)).toHaveLength(1);
    expect(out()).toContain("\none: 1 case");
    expect(out()).toContain("\ntwo: 1 case");
  });

  it("tells only the first difference of a case: what comes later follows from it, or is in the report", () => {
    const { reporter, out } = open();
    for (const event of eventsOf(sampleReport)) {
      reporter.report(event);
      if (event.type === "divergence") reporter.report({ ...event, divergence: { ...event.divergence, step: 3 } });
    }
    expect(out().match(/First difference/g)).toHaveLength(1);
  });

  it("answers a signal, and says in the end how far it came", () => {
    const { reporter, out } = open();
    for (const event of eventsOf(sampleReport).slice(0, 3)) reporter.report(event);
    reporter.interrupt("SIGINT");
    expect(out()).toContain("\nSIGINT: finishing the step at hand");
    reporter.end([equalReport], []);
    expect(out()).toContain("\nStopped at case 1 of 3.\n");
    expect(out()).not.toContain("Report:");
  });

  it("tells of an error after a difference, and keeps the difference in the summary", () => {
    const { reporter, out } = open();
    const [, different] = sampleReport.cases;
    const report = {
      ...sampleReport,
      cases: [{ ...different!, error: { code: "connection-lost", message: "Python ended." } }],
    };
    for (const event of eventsOf(report)) reporter.report(event);
    reporter.end([report], []);
    expect(out()).toContain("\n?? ended early (connection-lost): Python ended.\n");
    expect(out()).toContain("\n!! triplets (dropout=true): 2 steps; first difference in step 2");
  });

  it("says nothing of cases when it was interrupted before there was one", () => {
    const { reporter, out } = open();
    reporter.interrupt("SIGTERM");
    reporter.end([], []);
    expect(out()).not.toContain("Stopped at");
  });

  it("names every page that was written", () => {
    const { reporter, out } = open();
    reporter.end([], ["out/a/report.html", "out/b/report.html"]);
    expect(out()).toBe("\nReport: out/a/report.html\n        out/b/report.html\n");
  });

  it("tells errors on standard error, below a line that it takes away", () => {
    vi.useFakeTimers();
    const { reporter, out, error } = open({ isInteractive: true });
    reporter.activity("Starting Python");
    reporter.fail(new DataError("empty-file", "pairs.csv is empty."));
    expect(shown(out())).toBe("");
    expect(error()).toBe("\nError (empty-file): pairs.csv is empty.\n");
    expect(vi.getTimerCount()).toBe(0);
  });
});
