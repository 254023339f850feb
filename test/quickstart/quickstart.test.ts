import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Reference, readParityReport } from "@gradbank/bridge";
import { readEventLog, SentenceEncoder } from "@gradbank/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { smallModel } from "../support/small-models.ts";
import { runCommand, startCommand } from "./command.ts";

let root: string;
let model: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "gradbank-quickstart-"));
  const reference = await Reference.start({ threads: 1 });
  model = await smallModel(reference, "bert", { seed: 21 });
  await reference.close();
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Arguments of a run that takes seconds. */
function small(outputDir: string, ...more: string[]): string[] {
  const sizes = "--train-pairs 96 --batch-size 16 --mini-batch-size 6 --threads 1 --learning-rate 1e-3".split(" ");
  return ["quickstart", "--model", model, "--output-dir", outputDir, ...sizes, ...more];
}

/** Checks the event log of a run, and returns how it ended. */
function expectOneRun(outputDir: string): { reason: string; step: number } {
  const events = readEventLog(join(outputDir, "events.jsonl"));
  expect(events.filter(({ type }) => type === "run-start")).toHaveLength(1);
  expect(events[0]!.type).toBe("run-start");
  const end = events.at(-1)!;
  if (end.type !== "run-end") throw new Error(`the last event is ${end.type}`);
  expect(events.filter(({ type }) => type === "step-end")).toHaveLength(end.step);
  return end;
}

/** Largest difference of a weight between two model folders. */
async function largestChange(left: string, right: string): Promise<number> {
  const [one, other] = [await SentenceEncoder.load(left), await SentenceEncoder.load(right)];
  let largest = 0;
  for (const { name, data } of one.parameters)
    data.forEach((value, index) => {
      largest = Math.max(largest, Math.abs(value - other.parameters.get(name).data[index]!));
    });
  await one.release();
  await other.release();
  return largest;
}

describe("gradbank quickstart", () => {
  it("trains, compares with Python, measures and saves; and once more in the same folder", async () => {
    const outputDir = join(root, "whole");
    const first = await runCommand(...small(outputDir));
    expect(first.error).toBe("");
    expect(first.exitCode).toBe(0);
    expect(first.out).not.toContain("\u001b");
    for (const part of [
      "Verdict: equal at every stage",
      "Training: 6 steps of 16 pairs, 6 encoded at once",
      "step 6 of 6",
      "loaded again: the same embeddings, bit by bit",
      "opened by Python sentence-transformers",
      "Parity   equal",
      `Model    ${join(outputDir, "model")}`,
    ])
      expect(first.out).toContain(part);
    expect(first.out.match(/^ok +[12] /gm)).toHaveLength(2);
    expect(first.out).not.toContain("!! ");
    expect(expectOneRun(outputDir)).toMatchObject({ reason: "completed", step: 6 });
    const events = readEventLog(join(outputDir, "events.jsonl"));
    const measured = events.filter((event) => event.type === "evaluation-end");
    expect(measured.map(({ step }) => step)).toEqual([0, 6]);
    const [before, after] = measured.map(({ metrics }) => metrics["wordnet-test_cosine_ndcg@10"]!.toFixed(4));
    expect(first.out).toContain(`NDCG@10  ${before} -> ${after}`);
    const report = await readParityReport(join(outputDir, "parity", "report.json"));
    expect(first.out).toContain(`Every stage and tensor: ${join(outputDir, "parity", "report.html")}`);
    const [{ steps, configuration }] = report.cases as [(typeof report.cases)[number]];
    expect([report.verdict, configuration?.equal, steps.length]).toEqual(["equal", true, 2]);
    for (const { stages } of steps)
      expect(stages.map(({ stage }) => stage)).toEqual(
        "tokens embeddings scores labels loss embedding-gradients replayed-embeddings parameter-gradients clip-norm moments weights".split(
          " ",
        ),
      );
    // The very losses that training has: rows, dropout masks and weights are the run's own, and the comparison left no trace.
    const losses = events.flatMap((event) => (event.type === "step-end" ? [event.loss] : []));
    expect(losses[0]).toBe(steps[0]!.loss.ours);
    expect(losses[1]! / steps[1]!.loss.reference!).toBeCloseTo(1, 5);
    expect(await largestChange(model, join(outputDir, "model"))).toBeGreaterThan(1e-4);

    const second = await runCommand(...small(outputDir, "--no-parity", "--max-steps", "2"));
    expect([second.exitCode, second.error]).toEqual([0, ""]);
    expect(second.out).toContain("Parity   skipped: --no-parity was given.");
    expect(second.out).not.toContain("Starting Python");
    expect(expectOneRun(outputDir)).toMatchObject({ reason: "completed", step: 2 });
    await expect(stat(join(outputDir, "parity", "report.html"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("compares a run with a bank with Python's, too", async () => {
    const outputDir = join(root, "bank");
    const { exitCode, out, error } = await runCommand(...small(outputDir, "--bank-capacity", "24", "--max-steps", "3"));
    expect([exitCode, error]).toEqual([0, ""]);
    expect(out).toContain("Verdict: equal at every stage");
    const report = await readParityReport(join(outputDir, "parity", "report.json"));
    expect(report.cases[0]!.reference).toBe("ContAccum");
    for (const { stages } of report.cases[0]!.steps) expect(stages.map(({ stage }) => stage)).toContain("bank");
    const losses = readEventLog(join(outputDir, "events.jsonl")).flatMap((event) =>
      event.type === "step-end" ? [event.loss] : [],
    );
    // The run begins with a bank of its own, which is empty.
    expect(losses[0]).toBe(report.cases[0]!.steps[0]!.loss.ours);
  });

  it("finishes its step on Ctrl-C and saves, and trains on from there", async () => {
    const outputDir = join(root, "interrupted");
    const running = startCommand(...small(outputDir, "--no-parity", "--max-steps", "100000"));
    await running.waitFor("step      1 of 100000");
    running.kill("SIGINT");
    // npm sends the terminal's signal once more.
    running.kill("SIGINT");
    const { exitCode, out, error } = await running.ended;
    expect([exitCode, error]).toEqual([0, ""]);
    expect(out).toContain("SIGINT: finishing the step at hand");
    const { reason, step } = expectOneRun(outputDir);
    expect(reason).toBe("interrupted");
    expect(step).toBeGreaterThan(0);
    expect(out).toMatch(new RegExp(`Stopped after step ${step.toLocaleString("en-US")} of 100,000`));
    const saved = join(outputDir, "model");
    expect(out).toContain(`npm start -- --model ${saved}`);

    const [, modelOption] = [...small(outputDir, "--no-parity", "--max-steps", "1")].entries();
    expect(modelOption).toEqual([1, "--model"]);
    const given = small(outputDir, "--no-parity", "--max-steps", "1").with(2, saved);
    const next = await runCommand(...given);
    expect([next.exitCode, next.error]).toEqual([0, ""]);
    expect(expectOneRun(outputDir)).toMatchObject({ reason: "completed", step: 1 });
    const encoder = await SentenceEncoder.load(saved);
    expect((await encoder.encode(["a text"])).data.every(Number.isFinite)).toBe(true);
    await encoder.release();
  });

  it("ends at once on a second signal", async () => {
    const outputDir = join(root, "twice");
    const running = startCommand(...small(outputDir));
    await running.waitFor("Starting Python");
    running.kill("SIGTERM");
    await running.waitFor("SIGTERM: stopping before training begins");
    await new Promise((resolve) => setTimeout(resolve, 1100));
    running.kill("SIGTERM");
    expect((await running.ended).exitCode).toBe(130);
    await expect(stat(join(outputDir, "model"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("stops before training on one signal, with nothing to save", async () => {
    const running = startCommand(...small(join(root, "early")));
    await running.waitFor("Starting Python");
    running.kill("SIGHUP");
    const { exitCode, out } = await running.ended;
    expect(exitCode).toBe(130);
    expect(out).toContain("nothing to save");
  });

  it("writes events as JSON Lines, for the user's own data", async () => {
    const data = join(root, "pairs.jsonl");
    const rows = Array.from({ length: 40 }, (_, row) => ({ question: `what is ${row}`, answer: `the number ${row}` }));
    await writeFile(data, rows.map((row) => JSON.stringify(row)).join("\n"));
    const outputDir = join(root, "json");
    const { exitCode, out, error } = await runCommand(...small(outputDir, "--no-parity", "--json", "--data", data));
    expect([exitCode, error]).toEqual([0, ""]);
    const events = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    for (const event of events) expect(event).toMatchObject({ version: 1, time: expect.any(String) });
    expect(events.find(({ type }) => type === "data-loaded")).toMatchObject({
      name: data,
      trainPairs: 32,
      queries: 8,
      documents: 8,
    });
    expect(events.at(-1)).toMatchObject({
      type: "quickstart-end",
      reason: "completed",
      step: 2,
      parity: "skipped",
      exitCode: 0,
      modelFolder: join(outputDir, "model"),
    });
    const steps = events.filter(({ type }) => type === "step-end");
    const logged = readEventLog(join(outputDir, "events.jsonl")).filter(({ type }) => type === "step-end");
    expect(steps).toEqual(logged);
  });

  it("says in one message what is wrong with data or model", async () => {
    const none = await runCommand(...small(join(root, "no-data"), "--no-parity", "--data", join(root, "none.csv")));
    expect(none.exitCode).toBe(1);
    expect(none.error).toMatch(/^\nError \([a-z-]+\): [^\n]*none\.csv[^\n]*\n$/);
    const wrong = small(join(root, "no-model"), "--no-parity").with(2, join(root, "no-such-model"));
    const noModel = await runCommand(...wrong);
    expect(noModel.exitCode).toBe(1);
    expect(noModel.error).toMatch(/^\nError \(missing-folder\): [^\n]*no-such-model/);
    expect(noModel.error).not.toContain("    at ");
  });

  it("refuses an option that it does not know", async () => {
    const { exitCode, out, error } = await runCommand("quickstart", "--epochs", "3");
    expect([exitCode, out]).toEqual([2, ""]);
    expect(error).toContain("unknown option '--epochs'");
  });
});
