import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BridgeError, Reference } from "@gradbank/bridge";
import { InMemoryDataset, readEventLog, SentenceEncoder } from "@gradbank/core";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { Interruption } from "../../packages/cli/src/interruption.ts";
import { quickstart } from "../../packages/cli/src/quickstart.ts";
import type { ReportedEvent } from "../../packages/cli/src/quickstart-events.ts";
import { quickstartDefaults } from "../../packages/cli/src/quickstart-options.ts";
import { checkSavedModel } from "../../packages/cli/src/saved-model-check.ts";
import { sampleTexts, smallModel } from "../support/small-models.ts";

let root: string;
let model: string;
let reference: Reference;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "gradbank-outcomes-"));
  reference = await Reference.start({ threads: 1 });
  model = await smallModel(reference, "bert", { seed: 22 });
});
afterEach(() => vi.restoreAllMocks());
afterAll(async () => {
  await reference?.close();
  await rm(root, { recursive: true, force: true });
});

/** Runs two steps; the reference that all tests share stays open. */
async function run(name: string, startReference: () => Promise<Reference>) {
  const events: ReportedEvent[] = [];
  const outputDir = join(root, name);
  vi.spyOn(reference, "close").mockResolvedValue();
  const exitCode = await quickstart(
    {
      ...quickstartDefaults,
      ...{ model, outputDir, trainPairs: 32, batchSize: 16, miniBatchSize: 8, maxSteps: 2, threads: 1 },
    },
    {
      reporter: {
        report: (event) => void events.push(event),
        fail: (error) => {
          throw error;
        },
      },
      interruption: new Interruption(),
      startReference,
    },
  );
  const find = <Type extends ReportedEvent["type"]>(type: Type) =>
    events.find((event): event is Extract<ReportedEvent, { type: Type }> => event.type === type);
  // Whatever the comparison says, the model is trained and saved.
  expect(readEventLog(join(outputDir, "events.jsonl")).at(-1)).toMatchObject({ type: "run-end", reason: "completed" });
  const encoder = await SentenceEncoder.load(join(outputDir, "model"));
  await encoder.release();
  return { exitCode, find };
}

describe("quickstart", () => {
  it("ends in 1 when Python's numbers differ, and names where", async () => {
    const { server } = reference;
    const request = server.request.bind(server);
    vi.spyOn(server, "request").mockImplementation(async (method, ...rest) => {
      const reply = await request(method, ...rest);
      if (method !== "lockstep_step") return reply;
      const entries = reply.result.tensors as { stage: string; name: string }[];
      const index = entries.findIndex(({ stage }) => stage === "embedding-gradients");
      const { data } = reply.tensors[`value.${index}`]!;
      (data as Float64Array)[3]! += 1e-3;
      return reply;
    });
    const { exitCode, find } = await run("unequal", async () => reference);
    expect(exitCode).toBe(1);
    const { report } = find("parity-step")!;
    expect(report).toMatchObject({ step: 1, equal: false });
    expect(report.stages.filter(({ equal }) => !equal).map(({ stage }) => stage)).toEqual(["embedding-gradients"]);
    expect(find("parity-divergence")!.divergence).toMatchObject({
      step: 1,
      stage: "embedding-gradients",
      tensor: "batch0.column0",
    });
    expect(find("parity-end")).toMatchObject({ verdict: "not equal" });
    expect(find("quickstart-end")).toMatchObject({ reason: "completed", parity: "not equal", exitCode: 1, step: 2 });
  });

  it("ends in 1 when Python fails at a step", async () => {
    const { server } = reference;
    const request = server.request.bind(server);
    vi.spyOn(server, "request").mockImplementation((method, ...rest) =>
      method === "lockstep_step"
        ? Promise.reject(new BridgeError("remote-error", "Python raised ValueError."))
        : request(method, ...rest),
    );
    const { exitCode, find } = await run("failed", async () => reference);
    expect(exitCode).toBe(1);
    expect(find("parity-error")).toMatchObject({ code: "remote-error", message: "Python raised ValueError." });
    expect(find("quickstart-end")).toMatchObject({ parity: "failed", exitCode: 1 });
  });

  it("goes without the comparison where there is no Python, and says so", async () => {
    const { exitCode, find } = await run("without", () =>
      Promise.reject(new BridgeError("python-missing", "There is no Python environment here.")),
    );
    expect(exitCode).toBe(0);
    expect(find("parity-skip")!.reason).toContain("There is no Python environment here.");
    expect(find("model-checked")).toMatchObject({ reloaded: 0, equal: true });
    expect(find("model-checked")!.python).toBeUndefined();
    expect(find("quickstart-end")).toMatchObject({ parity: "skipped", exitCode: 0 });
  });
});

it("sees that a saved model is not the one in memory", async () => {
  const folder = join(root, "saved");
  const encoder = await SentenceEncoder.load(model, { threads: 1 });
  await encoder.save(folder);
  const dataset = InMemoryDataset.fromColumns({ text: sampleTexts });
  const options = { threads: 1, reference };
  const same = await checkSavedModel(folder, encoder, dataset, options);
  expect(same).toMatchObject({ reloaded: 0, equal: true });
  expect(same.python).toBeLessThan(1e-5);
  encoder.parameters.get("encoder.layer.0.output.dense.bias").data[0]! += 1e-2;
  const other = await checkSavedModel(folder, encoder, dataset, options);
  expect(other.equal).toBe(false);
  expect(other.reloaded).toBeGreaterThan(1e-5);
  expect(other.python).toBeGreaterThan(1e-5);
  await encoder.release();
});
