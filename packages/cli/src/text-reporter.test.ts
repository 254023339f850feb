import { DataError } from "@gradbank/core";
import { describe, expect, it } from "vitest";
import type { ReportedEvent } from "./quickstart-events.ts";
import { sampleEvaluation, sampleEvents, sampleRunStart, sampleStep } from "./testing/sample-events.ts";
import { halvedGradient, sampleDivergence, sampleParityStages, sampleStepReport } from "./testing/sample-parity.ts";
import { TextReporter } from "./text-reporter.ts";

function tell(events: readonly ReportedEvent[], { isInteractive = false, isColored = false, columns = 80 } = {}) {
  let [out, error] = ["", ""];
  let time = 0;
  const reporter = new TextReporter({
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
    // Each look at the clock is four seconds later.
    now: () => {
      time += 4000;
      return time;
    },
  });
  for (const event of events) reporter.report(event);
  return { reporter, out: () => out, error: () => error };
}

/** What a terminal shows in the end of text with lines that were overwritten. */
function shown(text: string): string {
  return text
    .split("\n")
    .map((line) => line.split("\r\u001b[2K").at(-1)!)
    .join("\n");
}

const trainingBegins = sampleEvents.findIndex(({ type }) => type === "run-start");

const transcript = `gradbank quickstart

Python   3.11.7, torch 2.13.0, sentence-transformers 6.2.0
Model    all-MiniLM-L6-v2
         bert, 6 layers, 22,565,376 weights, embeddings of 384 numbers
Data     WordNet, as a reverse dictionary
         5,120 pairs to train on; to test, 500 queries against 3,000 documents
         "a small dog"
         -> "puppy, pup"

Parity with Python: the run's first 2 steps, same weights and dropout masks
A number: the worst difference, in multiples of Python's own float32 rounding.
ok: equal   !!: different   -: the step has no such stage
   step tokens embeddings scores labels  loss dL/dE replay  bank gradients  norm moments weights
ok    1     ok        0.8      0     ok  <0.1   1.3     ok     -       3.2   0.2     0.5     0.5
ok    2     ok        0.8      0     ok  <0.1   1.3     ok     -       3.2   0.2     0.5     0.5
  Verdict: equal at every stage
  Nearest to its limit: parameter gradients of step 1, at 40 % (pooler)
  Every stage and tensor: runs/quickstart/parity/report.html

Training: 2 steps of 128 pairs, 32 encoded at once; learning rate up to 1e-4
  NDCG@10 before training: 0.5036 (4.3 s)
  step 2 of 2  loss 1.2500  33 pairs/s  learning rate 1e-4
  NDCG@10 after training: 0.5731 (4.3 s)

Saved    runs/quickstart/model in 0.5 s
         loaded again: the same embeddings, bit by bit
         opened by Python sentence-transformers: embeddings within 1.6e-7

NDCG@10  0.5036 -> 0.5731 (+0.0695)
Parity   equal
Time     3 min 12 s
Model    runs/quickstart/model

From TypeScript
  import { SentenceEncoder } from "@gradbank/core";
  const encoder = await SentenceEncoder.load("runs/quickstart/model");
  const embeddings = await encoder.encode(["a small dog", "a puppy"]);
From Python
  from sentence_transformers import SentenceTransformer
  model = SentenceTransformer("runs/quickstart/model")
  embeddings = model.encode(["a small dog", "a puppy"])
`;

describe("TextReporter", () => {
  it("tells a run on a terminal", () => {
    const { out } = tell(sampleEvents, { isInteractive: true, columns: 120 });
    expect(shown(out())).toBe(transcript);
    expect(out()).toContain("\r\u001b[2KStarting Python ...");
    expect(out()).toContain("██████████░░░░░░░░░░ step 1 of 2  8 s left");
  });

  it("tells it in plain lines elsewhere", () => {
    const { out } = tell(sampleEvents);
    const lines = transcript
      .replace("\nPython", "\nStarting Python ...\nPython")
      .replace("  step 2 of 2", "  step 1 of 2  8 s left  loss 1.2500  33 pairs/s  learning rate 1e-4\n  step 2 of 2")
      .replace("\nSaved", "\nSaving the model ...\nSaved");
    expect(out()).toBe(lines);
    expect(out()).not.toContain("\u001b");
  });

  it("has colours where they are wanted, around the same text", () => {
    const { out } = tell(sampleEvents, { isInteractive: true, isColored: true, columns: 120 });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
    expect(shown(out()).replaceAll(/\u001b\[\d+m/g, "")).toBe(transcript);
    expect(out()).toContain("\u001b[32mequal\u001b[39m");
  });

  it("stays within the terminal's width while it trains", () => {
    const { out } = tell(sampleEvents.slice(trainingBegins, trainingBegins + 4), { isInteractive: true, columns: 40 });
    const passing = out()
      .split("\r\u001b[2K")
      .filter((text) => text !== "" && !text.includes("\n"));
    expect(passing.length).toBeGreaterThan(2);
    for (const text of passing) expect(text.length).toBeLessThan(40);
  });

  it("writes a plain line at most every ten seconds", () => {
    const steps = Array.from({ length: 30 }, (_, step) => sampleStep(step + 1));
    const { out } = tell([{ ...sampleRunStart, maxSteps: 30 }, sampleEvaluation(0, 0.5), ...steps]);
    const told = [...out().matchAll(/step +(\d+) of 30/g)].map(([, step]) => Number(step));
    expect(told[0]).toBe(1);
    expect(told.at(-1)).toBe(30);
    // Steps take four seconds here: every third one is told.
    expect(told.length).toBe(11);
  });

  it("tells how large a bank is before the first step, and how full it was in each", () => {
    const bank = { rows: 256, oldestAge: 2, positiveRank: 1, maskedDuplicates: 0 };
    const { out } = tell([
      { ...sampleRunStart, banks: [{ capacity: 1024, bytes: 3_167_232 }] },
      sampleEvaluation(0, 0.5),
      { ...sampleStep(1), bank },
    ]);
    expect(out()).toContain("\n  bank of 1,024 rows a column as further negatives, 3.2 MB\n");
    expect(out()).toMatch(/step 1 of 2 .* {2}bank 256 {2}learning rate/);
  });

  it("tells what was not equal, and that training goes on", () => {
    const { out } = tell([
      { type: "parity-step", report: sampleStepReport(2, sampleParityStages(halvedGradient)) },
      { type: "parity-divergence", divergence: sampleDivergence },
      { type: "parity-end", verdict: "not equal", nearest: undefined, report: undefined },
    ]);
    expect(out()).toMatch(/^!! {4}2 .* 5e5!! /);
    expect(out()).toContain(
      "First difference: step 2, parameter gradients\n     encoder.layer.0.output.dense.weight: ",
    );
    expect(out()).toContain("Verdict: not equal\n");
    expect(out()).toContain("Training goes on; the exit status will be 1.");
  });

  it("tells why there is no comparison", () => {
    const { out } = tell([{ type: "parity-skip", reason: "Python cannot be used. There is none." }]);
    expect(out()).toBe("\nParity   skipped: Python cannot be used. There is none.\n");
    const failed = tell([{ type: "parity-error", code: "request-timeout", message: "No answer." }]);
    expect(failed.out()).toContain("failed (request-timeout): No answer.");
  });

  it.each([
    ["before training", [], "before training begins"],
    ["while training", [sampleRunStart], "finishing the step at hand"],
    ["after training", sampleEvents.slice(trainingBegins, trainingBegins + 6), "nearly done"],
  ])("answers a signal %s", (_, events, answer) => {
    const { out } = tell([...events, { type: "interruption", signal: "SIGINT" }]);
    expect(out()).toContain(`SIGINT: `);
    expect(out().split("SIGINT: ")[1]).toContain(answer);
  });

  it("tells where an interrupted run's model is and how to go on", () => {
    const end = sampleEvents.at(-1)!;
    if (end.type !== "quickstart-end") throw new Error("the sample ends otherwise");
    const { out } = tell([{ ...end, reason: "interrupted", step: 1, maxSteps: 40, after: undefined }]);
    expect(out()).toBe(
      "\nStopped after step 1 of 40; the model is saved as it is.\nTo train on from it: npm start -- --model runs/quickstart/model\n",
    );
    const nothing = tell([{ ...end, reason: "interrupted", step: 0, modelFolder: undefined }]);
    expect(nothing.out()).toContain("nothing to save");
  });

  it("says when the saved model is another", () => {
    const { out } = tell([{ type: "model-checked", reloaded: 0.5, python: undefined, equal: false }]);
    expect(out()).toContain("differ by up to 5e-1");
    expect(out()).toContain("not the one that was trained");
  });

  it("tells errors on standard error, below a line that it takes away", () => {
    const { reporter, out, error } = tell([{ type: "activity-start", activity: "Loading" }], { isInteractive: true });
    reporter.fail(new DataError("empty-file", "pairs.csv is empty."));
    expect(shown(out())).toBe("");
    expect(error()).toBe("\nError (empty-file): pairs.csv is empty.\n");
  });
});
