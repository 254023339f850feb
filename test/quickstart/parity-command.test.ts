import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parityEventSchema, readParityReport } from "@gradbank/bridge";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCommand, startCommand } from "./command.ts";

let root: string;
let suite: string;
let loss: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "gradbank-parity-"));
  suite = join(root, "small.yaml");
  await writeFile(
    suite,
    `name: small
defaults:
  model: { random: bert }
  batchSize: 4
  steps: 2
  loss: { class: CachedMultipleNegativesRankingLoss, miniBatchSize: 3 }
cases:
  - name: pairs
  - name: triplets
    columns: 3
    dropout: true
`,
  );
  loss = join(root, "my_loss.py");
  await writeFile(
    loss,
    `from sentence_transformers.losses import MultipleNegativesRankingLoss
from torch import nn


class MyLoss(nn.Module):
    def __init__(self, model, factor):
        super().__init__()
        self.loss = MultipleNegativesRankingLoss(model)
        self.factor = factor

    def forward(self, sentence_features, labels):
        return self.factor * self.loss(sentence_features, labels)
`,
  );
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe("gradbank parity", () => {
  it("compares, ends in 0 and writes the report; then once more without Python", async () => {
    const [report, golden] = [join(root, "report"), join(root, "golden")];
    const first = await runCommand("parity", suite, "--threads", "1", "--report", report, "--export-golden", golden);
    expect([first.exitCode, first.error]).toEqual([0, ""]);
    expect(first.out).not.toContain("\u001b");
    expect(first.out.match(/^ok +[12] .*$/gm)).toHaveLength(4);
    for (const part of [
      "small: 2 cases, 4 steps",
      "pairs: teacher-forced, 2 steps",
      "Equal to the reference in 2 cases",
    ])
      expect(first.out).toContain(part);
    expect((await readdir(report)).sort()).toEqual(["junit.xml", "report.html", "report.json"]);
    const { verdict, cases } = await readParityReport(join(report, "report.json"));
    expect([verdict, cases.map(({ name, steps }) => [name, steps.length])]).toEqual([
      "equal",
      [
        ["pairs", 2],
        ["triplets", 2],
      ],
    ]);

    const second = await runCommand("parity", suite, "--threads", "1", "--import-golden", golden, "--json");
    expect([second.exitCode, second.error]).toEqual([0, ""]);
    const events = second.out
      .trim()
      .split("\n")
      .map((line) => parityEventSchema.parse(JSON.parse(line)));
    expect(events.at(0)).toMatchObject({ type: "suite-start", suite: "small" });
    expect(events.at(-1)).toMatchObject({ type: "suite-end", verdict: "equal" });
    expect(events.filter(({ type }) => type === "step")).toHaveLength(4);

    const other = await runCommand("parity", suite, "--import-golden", golden, "--set", "loss.scale=10");
    expect(other.exitCode).toBe(2);
    expect(other.error + other.out).toMatch(/golden-mismatch.*scale/s);
  });

  it("holds ours against a loss of the user's, and ends in 1 where that is another", async () => {
    const held = [
      "parity",
      suite,
      "--case",
      "pairs",
      "--steps",
      "1",
      "--threads",
      "1",
      "--reference",
      `${loss}:MyLoss`,
    ];
    const same = await runCommand(...held, "--reference-option", "factor=1");
    expect([same.exitCode, same.error]).toEqual([0, ""]);
    const half = await runCommand(...held, "--reference-option", "factor=0.5");
    expect([half.exitCode, half.error]).toEqual([1, ""]);
    expect(half.out).toMatch(/First difference: step 1, loss\n +batch0: .* a factor of 2/);
    expect(half.out).toContain("!! pairs: 1 step; first difference in step 1: loss, batch0");
    expect(half.out).toContain("Different from the reference in 1 of 1 case");
  });

  it("ends in 2 when there is nothing to compare with, and says why", async () => {
    const none = await runCommand("parity", suite, "--python", join(root, "no-python"));
    expect(none.exitCode).toBe(2);
    expect(none.error).toMatch(/^\nError \(python-missing\): /);
    const missing = await runCommand("parity", join(root, "none.yaml"));
    expect(missing.exitCode).toBe(2);
    expect(missing.error).toContain("none.yaml");
    const mistake = await runCommand("parity", suite, "--set", "loss.scal=10");
    expect(mistake.exitCode).toBe(2);
    expect(mistake.error).toMatch(/loss\.scal\b.*scale/s);
  });

  it("stops after the step at hand on Ctrl-C, and tells what was compared", async () => {
    const running = startCommand("parity", suite, "--case", "pairs", "--set", "steps=2000", "--threads", "1");
    await running.waitFor("ok    2 ");
    running.kill("SIGINT");
    const { exitCode, out, error } = await running.ended;
    expect([exitCode, error]).toEqual([130, ""]);
    expect(out).toContain("SIGINT: finishing the step at hand");
    expect(out).toMatch(/ok pairs: \d+ steps/);
    expect(out).toContain("Stopped at case 1 of 1.");
  });

  it("lists what ships", async () => {
    const { exitCode, out, error } = await runCommand("parity", "--all", "--list");
    expect([exitCode, error]).toEqual([0, ""]);
    for (const name of ["architectures", "bank", "losses", "minilm", "quick"])
      expect(out).toMatch(new RegExp(`^${name}: \\d+ case`, "m"));
  });
});
