import { cp, mkdtemp, open, readdir, readFile, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PythonServer, Reference } from "@gradbank/bridge";
import {
  listCheckpoints,
  readCheckpoint,
  readEventLog,
  SentenceEncoder,
  type TrainerCallback,
  type TrainingEvent,
  withoutSupersededEvents,
} from "@gradbank/core";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectClose } from "../support/expect-close.ts";
import { smallModel } from "../support/small-models.ts";
import { bitsOf, type CheckpointRun, checkpointRun, pairs } from "./checkpoint-run.ts";

let reference: Reference;
let folder: string;
let workspace: string;
let runs = 0;
beforeAll(async () => {
  reference = await Reference.start({ threads: 1 });
  folder = await smallModel(reference, "bert");
  workspace = await mkdtemp(join(tmpdir(), "gradbank-resume-"));
});
afterAll(async () => {
  await reference?.close();
  await rm(workspace, { recursive: true });
});

const newOutputDir = () => join(workspace, `run-${runs++}`);

/** Ends the process's part of a run as a kill would: nothing after this update is written. */
function failAt(step: number): () => readonly TrainerCallback[] {
  return () => [
    {
      onStepEnd: (progress) => {
        if (progress.step === step) throw new Error("killed");
      },
    },
  ];
}

/** What a run says, without what differs from run to run: times, and the folder. */
function story(outputDir: string): unknown[] {
  return withoutSupersededEvents(readEventLog(join(outputDir, "events.jsonl"))).flatMap((event: TrainingEvent) => {
    if (event.type === "run-start" || event.type === "bank-drift") return [];
    const { time, timings, pairsPerSecond, evalRuntime, totals, ...rest } = event as unknown as Record<string, unknown>;
    return [JSON.parse(JSON.stringify(rest).replaceAll(outputDir, ""))];
  });
}

describe("a run that is stopped and resumed ends in the same weights, bit for bit", () => {
  it("whatever its settings and wherever it is stopped, once or more", async () => {
    const settings = fc.record({
      rows: fc.integer({ min: 9, max: 30 }),
      bank: fc.boolean(),
      pushAt: fc.constantFrom("forward" as const, "optimizerStep" as const),
      miniBatchSize: fc.integer({ min: 1, max: 5 }),
      arguments: fc.record({
        perDeviceTrainBatchSize: fc.integer({ min: 2, max: 5 }),
        gradientAccumulationSteps: fc.integer({ min: 1, max: 3 }),
        numTrainEpochs: fc.constantFrom(1, 2, 2.5),
        batchSampler: fc.constantFrom("no_duplicates" as const, "batch_sampler" as const),
        dataloaderDropLast: fc.boolean(),
        lrSchedulerType: fc.constantFrom("linear" as const, "cosine" as const, "constant_with_warmup" as const),
        saveStrategy: fc.constantFrom("steps" as const, "steps" as const, "epoch" as const),
        saveSteps: fc.constantFrom(1, 2, 3, 0.3),
        saveTotalLimit: fc.constantFrom(1, 2, undefined),
        loggingSteps: fc.integer({ min: 1, max: 5 }),
        evalStrategy: fc.constantFrom("no" as const, "steps" as const, "epoch" as const),
        evalSteps: fc.integer({ min: 1, max: 4 }),
        metricForBestModel: fc.constantFrom("dev_score", undefined),
        seed: fc.integer({ min: 0, max: 1000 }),
      }),
      scores: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 40, maxLength: 40 }),
      stops: fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 1, maxLength: 2 }),
    });
    await fc.assert(
      fc.asyncProperty(settings, async ({ stops, arguments: given, ...rest }) => {
        const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
        const whole = newOutputDir();
        const run: Omit<CheckpointRun, "outputDir"> = { ...rest, folder, arguments: options };
        const expected = await checkpointRun({ ...run, outputDir: whole });
        const outputDir = newOutputDir();
        for (const stop of stops) {
          const last = (await listCheckpoints(outputDir)).at(-1)?.step;
          const step = (last ?? 0) + 1 + Math.floor(stop * (expected.step - (last ?? 0)));
          if (step > expected.step) continue;
          await expect(
            checkpointRun({ ...run, outputDir, resume: last !== undefined, callbacks: failAt(step) }),
          ).rejects.toThrow("killed");
        }
        const resume = (await listCheckpoints(outputDir)).length > 0;
        // What was stopped before its first checkpoint begins again, in the same folder.
        if (!resume) await rm(outputDir, { recursive: true, force: true });
        const resumed = await checkpointRun({ ...run, outputDir, resume });
        expect(bitsOf(resumed) === bitsOf(expected)).toBe(true);
        expect(resumed.trainLoss).toBe(expected.trainLoss);
        expect(resumed.evaluations).toEqual(expected.evaluations);
        expect(resumed.bestModel).toEqual(expected.bestModel);
        expect(story(outputDir)).toEqual(story(whole));
        expect((await listCheckpoints(outputDir)).map(({ step }) => step)).toEqual(
          (await listCheckpoints(whole)).map(({ step }) => step),
        );
        await rm(whole, { recursive: true });
        await rm(outputDir, { recursive: true });
      }),
      { numRuns: 16, endOnFailure: true, seed: Number(process.env.GRADBANK_SEED ?? 7) },
    );
  }, 300_000);

  it("when stop() asked for it between two checkpoints, and again", async () => {
    const expected = await checkpointRun({ folder, outputDir: newOutputDir() });
    const outputDir = newOutputDir();
    for (const [index, last] of [3, 7].entries()) {
      const part = await checkpointRun({
        folder,
        outputDir,
        resume: index > 0,
        callbacks: (trainer) => [{ onStepEnd: ({ step }) => void (step === last && trainer().stop()) }],
      });
      expect(part).toMatchObject({ reason: "interrupted", step: last });
      expect((await listCheckpoints(outputDir)).at(-1)!.step).toBe(last);
    }
    const resumed = await checkpointRun({ folder, outputDir, resume: true });
    expect(resumed).toMatchObject({ reason: "completed", step: expected.step });
    expect(bitsOf(resumed) === bitsOf(expected)).toBe(true);
  });

  it("early stopping counts on, and what it ended is not gone on with", async () => {
    const run = {
      folder,
      scores: [0, 0, 5, 0, 4, 0, 3, 0, 2, 0, 1, 9, 9, 9],
      earlyStopping: 3,
      arguments: {
        evalStrategy: "steps",
        evalSteps: 2,
        saveSteps: 2,
        loadBestModelAtEnd: true,
        metricForBestModel: "dev_score",
        saveTotalLimit: 2,
      },
    } as const;
    const whole = newOutputDir();
    const expected = await checkpointRun({ ...run, outputDir: whole });
    expect(expected).toMatchObject({ reason: "completed", isStoppedEarly: true, step: 8 });
    expect(expected.bestModel).toEqual({ step: 2, value: 5, metric: "dev_score", isLoaded: true });
    for (const stop of [5, 7]) {
      const outputDir = newOutputDir();
      await expect(checkpointRun({ ...run, outputDir, callbacks: failAt(stop) })).rejects.toThrow("killed");
      const resumed = await checkpointRun({ ...run, outputDir, resume: true });
      expect(resumed).toMatchObject({ isStoppedEarly: true, step: 8, bestModel: expected.bestModel });
      expect(bitsOf(resumed) === bitsOf(expected)).toBe(true);
      const again = await checkpointRun({ ...run, outputDir, resume: true });
      expect(again).toMatchObject({ isStoppedEarly: true, step: 8 });
      expect(bitsOf(again) === bitsOf(expected)).toBe(true);
    }
  });
});

describe("a checkpoint", () => {
  it("is a model that Python opens, with a trainer_state.json that transformers reads", async () => {
    const outputDir = newOutputDir();
    await checkpointRun({
      folder,
      outputDir,
      scores: Array.from({ length: 20 }, (_, step) => step),
      earlyStopping: 3,
      arguments: { evalStrategy: "steps", evalSteps: 4, saveSteps: 4, metricForBestModel: "dev_score", maxSteps: 8 },
    });
    const checkpoint = join(outputDir, "checkpoint-8");
    const encoder = await SentenceEncoder.load(checkpoint, { threads: 1 });
    const texts = pairs(6).flat();
    const ours = await encoder.encode(texts);
    expectClose(
      ours.data,
      (await reference.encode(await reference.loadModel(checkpoint), texts)).data,
      1e-5,
      "embeddings",
    );
    await encoder.release();
    const python = await PythonServer.start({ threads: 1 });
    const { result } = await python.request("read_trainer_state", { path: join(checkpoint, "trainer_state.json") });
    await python.close();
    expect(result.state).toMatchObject({
      global_step: 8,
      max_steps: 8,
      best_global_step: 8,
      best_metric: 8,
      best_model_checkpoint: checkpoint,
      train_batch_size: 4,
      stateful_callbacks: {
        EarlyStoppingCallback: {
          args: { early_stopping_patience: 3, early_stopping_threshold: 0 },
          attributes: { early_stopping_patience_counter: 0 },
        },
      },
    });
    const { log_history: history } = result.state as { log_history: Record<string, number>[] };
    expect(history.map(({ step }) => step)).toEqual([3, 4, 6, 8]);
    expect(history[1]).toMatchObject({ eval_dev_score: 4 });
  });

  it("is found again where a process died between its two renames, and half of one is cleared away", async () => {
    const outputDir = newOutputDir();
    await expect(checkpointRun({ folder, outputDir, callbacks: failAt(7) })).rejects.toThrow("killed");
    // As another machine's process that has ended: host and process of a name decide whether it is alive.
    const { hostname } = await import("node:os");
    const stem = (step: number) =>
      `.checkpoint-${step}.gradbank-${hostname().replaceAll(/[^\w-]/g, "_")}-999999999-0123456789ab`;
    await rename(join(outputDir, "checkpoint-6"), join(outputDir, `${stem(6)}.replaced`));
    await cp(join(outputDir, "checkpoint-4"), join(outputDir, `${stem(8)}.incomplete`), { recursive: true });
    await checkpointRun({ folder, outputDir, resume: true });
    const start = readEventLog(join(outputDir, "events.jsonl")).findLast((event) => event.type === "run-start");
    expect(start).toMatchObject({ resumedFrom: { folder: join(outputDir, "checkpoint-6"), step: 6 } });
    expect((await readdir(outputDir)).filter((name) => name.startsWith("."))).toEqual([]);
  });
});

describe("what cannot be gone on from", () => {
  const stopped = async () => {
    const outputDir = newOutputDir();
    await expect(checkpointRun({ folder, outputDir, callbacks: failAt(7) })).rejects.toThrow("killed");
    return outputDir;
  };

  it.each([
    ["model.safetensors", "cut"],
    ["optimizer.safetensors", "changed"],
    ["bank-0.safetensors", "missing"],
    ["gradbank_state.json", "missing"],
    ["gradbank_state.json", "cut"],
    ["1_Pooling/config.json", "changed"],
  ] as const)(
    "a checkpoint whose %s is %s is refused by name; true takes the one before and says so",
    async (file, how) => {
      const outputDir = await stopped();
      const newest = join(outputDir, "checkpoint-6");
      const path = join(newest, file);
      if (how === "missing") await rm(path);
      else if (how === "cut") await truncate(path, (await stat(path)).size - 100);
      else {
        const handle = await open(path, "r+");
        const middle = Math.floor((await handle.stat()).size / 2);
        const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, middle);
        await handle.write(Buffer.from([buffer[0]! ^ 1]), 0, 1, middle);
        await handle.close();
      }
      await expect(checkpointRun({ folder, outputDir, resume: newest })).rejects.toMatchObject({
        code: "checkpoint-damaged",
        facts: { folder: newest, file },
      });
      const resumed = await checkpointRun({ folder, outputDir, resume: true });
      const expected = await checkpointRun({ folder, outputDir: newOutputDir() });
      expect(bitsOf(resumed) === bitsOf(expected)).toBe(true);
      const events = readEventLog(join(outputDir, "events.jsonl"));
      expect(events.find((event) => event.type === "warning")).toMatchObject({
        code: "checkpoint-damaged",
        step: 4,
        facts: { folder: newest },
      });
      // It was written again on the way.
      await readCheckpoint(newest);
    },
  );

  it("no checkpoint, and none that is whole", async () => {
    const outputDir = newOutputDir();
    await expect(checkpointRun({ folder, outputDir, resume: true })).rejects.toThrow(
      `There is no checkpoint in ${outputDir} to resume from. Start the run without resumeFromCheckpoint.`,
    );
    const other = await stopped();
    for (const checkpoint of await listCheckpoints(other)) await rm(join(checkpoint.folder, "model.safetensors"));
    await expect(checkpointRun({ folder, outputDir: other, resume: true })).rejects.toMatchObject({
      code: "no-checkpoint",
      message: expect.stringMatching(/No checkpoint in .* is whole: .*checkpoint-6 .*model\.safetensors is missing/),
    });
  });

  it("a new run beside old checkpoints says so, deletes none, and is the one that is gone on with", async () => {
    const outputDir = await stopped();
    const other = { folder, outputDir, arguments: { learningRate: 1e-4, saveSteps: 3, saveTotalLimit: 1 } };
    await expect(checkpointRun({ ...other, callbacks: failAt(5) })).rejects.toThrow("killed");
    const warned = readEventLog(join(outputDir, "events.jsonl")).find((event) => event.type === "warning");
    expect(warned).toMatchObject({
      code: "checkpoints-of-an-earlier-run",
      message: `A new run begins beside 3 checkpoints of an earlier one (${join(outputDir, "checkpoint-6")} is the last). It replaces those of the same step. To go on with the earlier run, pass resumeFromCheckpoint: true.`,
    });
    expect((await listCheckpoints(outputDir)).map(({ step }) => step)).toEqual([2, 3, 4, 6]);
    const resumed = await checkpointRun({ ...other, resume: true });
    const events = withoutSupersededEvents(readEventLog(join(outputDir, "events.jsonl")));
    expect(events.findLast((event) => event.type === "run-start")).toMatchObject({ resumedFrom: { step: 3 } });
    const expected = await checkpointRun({ ...other, outputDir: newOutputDir() });
    expect(bitsOf(resumed) === bitsOf(expected)).toBe(true);
    expect((await listCheckpoints(outputDir)).map(({ step }) => step)).toEqual([2, 4, expected.step]);
  });

  it("another model, loss, data or arguments: all that differs is told", async () => {
    const outputDir = await stopped();
    const refusal = async (change: Partial<CheckpointRun>) => {
      const error = await checkpointRun({ folder, outputDir, resume: true, ...change }).then(
        () => undefined,
        (error: Error) => error,
      );
      expect(error).toMatchObject({ code: "checkpoint-of-another-run" });
      return error!.message;
    };
    expect(await refusal({ arguments: { learningRate: 1e-4, numTrainEpochs: 4 } })).toBe(
      `${join(outputDir, "checkpoint-6")} belongs to another run: arguments.numTrainEpochs is 3 there and 4 here; arguments.learningRate is 0.001 there and 0.0001 here. Give what that run was given, or start a new run in another outputDir.`,
    );
    expect(await refusal({ arguments: { saveTotalLimit: 3, seed: 1 } })).toMatch(
      /run: arguments\.seed is 42 there and 1 here\. Give/,
    );
    expect(await refusal({ rows: 31 })).toMatch(
      /data\.rows is 30 there and 31 here; data\.texts \(hashed\) are others here\./,
    );
    expect(await refusal({ miniBatchSize: 5 })).toMatch(/loss\.mini_batch_size is 3 there and 5 here/);
    expect(await refusal({ bank: false })).toMatch(/loss\.bank\.capacity is 10 there and not set here/);
    expect(await refusal({ folder: await smallModel(reference, "mpnet") })).toMatch(
      /model\.modelType is "bert" there and "mpnet" here; /,
    );
    expect(await refusal({ folder: await smallModel(reference, "bert", { pooling: "cls" }) })).toMatch(
      /run: model\.pooling is "mean" there and "cls" here; /,
    );
  });

  it("other intervals of logging and saving change no update: the run goes on and says so", async () => {
    const outputDir = await stopped();
    const resumed = await checkpointRun({
      folder,
      outputDir,
      resume: true,
      arguments: { saveSteps: 5, loggingSteps: 4 },
    });
    expect(bitsOf(resumed) === bitsOf(await checkpointRun({ folder, outputDir: newOutputDir() }))).toBe(true);
    const events = readEventLog(join(outputDir, "events.jsonl"));
    expect(events.find((event) => event.type === "warning")).toMatchObject({
      code: "resumed-with-differences",
      message:
        "The run goes on with other settings than it had, none of which changes an update: arguments.loggingSteps is 3 there and 4 here; arguments.saveSteps is 2 there and 5 here.",
    });
  });
});

describe("the end of a run", () => {
  it("saves the model before run-end, which names it", async () => {
    const outputDir = newOutputDir();
    const { weights } = await checkpointRun({ folder, outputDir });
    const events = readEventLog(join(outputDir, "events.jsonl"));
    const model = join(outputDir, "model");
    expect(events.slice(-2)).toMatchObject([
      { type: "checkpoint-saved", folder: model, isResumable: false },
      { type: "run-end", reason: "completed", modelFolder: model },
    ]);
    const saved = await SentenceEncoder.load(model);
    expect(saved.parameters.data).toEqual(weights);
    await saved.release();
  });

  it("goes on without the best model, and says so, when that cannot be read any more", async () => {
    const outputDir = newOutputDir();
    const result = await checkpointRun({
      folder,
      outputDir,
      scores: [0, 0, 5],
      arguments: {
        evalStrategy: "steps",
        evalSteps: 2,
        loadBestModelAtEnd: true,
        metricForBestModel: "dev_score",
        maxSteps: 4,
      },
      callbacks: () => [
        {
          onSave: async ({ step }) => {
            if (step === 4) await writeFile(join(outputDir, "checkpoint-2", "model.safetensors"), "");
          },
        },
      ],
    });
    expect(result.bestModel).toMatchObject({ step: 2, isLoaded: false });
    const events = readEventLog(join(outputDir, "events.jsonl"));
    expect(events.find((event) => event.type === "warning")).toMatchObject({ code: "best-model-not-loaded" });
    expect(await readFile(join(outputDir, "model", "model.safetensors"))).toEqual(
      await readFile(join(outputDir, "checkpoint-4", "model.safetensors")),
    );
  });

  it("a metric that no evaluation has ends the run with those there are", async () => {
    await expect(
      checkpointRun({
        folder,
        outputDir: newOutputDir(),
        scores: [1],
        arguments: { evalStrategy: "steps", evalSteps: 2, metricForBestModel: "eval_dev_scores" },
      }),
    ).rejects.toThrow(
      'metricForBestModel is "eval_dev_scores", but the evaluation after update 2 has no such metric. Did you mean dev_score? It has: dev_score.',
    );
  });
});
