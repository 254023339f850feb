import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { watch } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Reference } from "@gradbank/bridge";
import { listCheckpoints, readCheckpoint, readEventLog, withoutSupersededEvents } from "@gradbank/core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { smallModel } from "../support/small-models.ts";
import { bitsOf, type CheckpointRun, checkpointRun } from "./checkpoint-run.ts";

let folder: string;
let workspace: string;
beforeAll(async () => {
  const reference = await Reference.start({ threads: 1 });
  folder = await smallModel(reference, "bert");
  await reference.close();
  workspace = await mkdtemp(join(tmpdir(), "gradbank-kill-"));
});
afterAll(() => rm(workspace, { recursive: true }));

const settings = {
  rows: 60,
  arguments: { saveSteps: 1, saveTotalLimit: 2, numTrainEpochs: 6, loggingSteps: 7 },
} as const;

function startChild(run: CheckpointRun): { child: ChildProcess; ended: Promise<string>; stderr: () => string } {
  const child = spawn(
    process.execPath,
    [
      ...["--import", "tsx", "--conditions=@gradbank/source"],
      join(import.meta.dirname, "checkpoint-child.ts"),
      JSON.stringify(run),
    ],
    { cwd: join(import.meta.dirname, ".."), stdio: ["ignore", "ignore", "pipe"] },
  );
  let stderr = "";
  child.stderr!.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ended = new Promise<string>((resolve) => {
    child.on("exit", (code, signal) => resolve(signal ?? `exit ${code}`));
  });
  return { child, ended, stderr: () => stderr };
}

it("a process killed with SIGKILL 30 times, most of them while it saves, ends in the same weights", async () => {
  const expected = await checkpointRun({ folder, ...settings, outputDir: join(workspace, "whole") });
  const outputDir = join(workspace, "killed");
  await mkdir(outputDir);
  let kills = 0;
  let halfSaved = 0;
  while (kills < 30) {
    const resume = (await listCheckpoints(outputDir)).length > 0;
    const { child, ended, stderr } = startChild({ folder, ...settings, outputDir, resume });
    // Within a save there are moments of all kinds: writing, hashing, flushing, renaming, deleting the oldest.
    const delay = [0, 1, 3, 8, 15, 25, 60][kills % 7]!;
    // Folders that are being written or deleted have such names; the run must get on a little before it is killed.
    const seen = new Set<string>();
    const watcher = watch(outputDir, (_, name) => {
      if (!name?.endsWith(".incomplete") || seen.has(name)) return;
      seen.add(name);
      if (seen.size === 1 + (kills % 4)) setTimeout(() => child.kill("SIGKILL"), delay);
    });
    const how = await ended;
    watcher.close();
    if (how === "exit 0") break;
    expect(how, stderr()).toBe("SIGKILL");
    kills++;
    if ((await readdir(outputDir)).some((name) => name.endsWith(".incomplete"))) halfSaved++;
    for (const checkpoint of await listCheckpoints(outputDir)) await readCheckpoint(checkpoint.folder);
  }
  expect(kills).toBeGreaterThanOrEqual(20);
  expect(halfSaved).toBeGreaterThan(0);
  const last = await checkpointRun({ folder, ...settings, outputDir, resume: true });
  expect(bitsOf(last) === bitsOf(expected)).toBe(true);
  expect((await readdir(outputDir)).sort()).toEqual((await readdir(join(workspace, "whole"))).sort());
  const steps = (run: string) =>
    withoutSupersededEvents(readEventLog(join(workspace, run, "events.jsonl"))).flatMap((event) =>
      event.type === "step-end" ? [{ step: event.step, loss: event.loss, gradNorm: event.gradNorm }] : [],
    );
  expect(steps("killed")).toEqual(steps("whole"));
}, 400_000);

it("a disk that fills up while a checkpoint is saved leaves the older ones whole; with room, the run goes on", async () => {
  const disk = join(workspace, "disk");
  await mkdir(disk);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], { stdio: "ignore" });
  } catch {
    console.warn("SKIPPED: a small file system cannot be mounted here, so a full disk was not tried.");
    return;
  }
  try {
    const run = { folder, arguments: { saveSteps: 2, saveTotalLimit: 2 } } as const;
    const expected = await checkpointRun({ ...run, outputDir: join(workspace, "roomy") });
    const outputDir = join(disk, "run");
    const filler = join(disk, "filler");
    // Leaves room for events, and for less than a checkpoint.
    const fill = async () => {
      const free = Number(execFileSync("df", ["--output=avail", "-B1", disk]).toString().trim().split("\n").at(-1));
      await writeFile(filler, Buffer.alloc(free - 100_000));
    };
    await expect(
      checkpointRun({
        ...run,
        outputDir,
        callbacks: () => [{ onStepEnd: ({ step }) => (step === 6 ? fill() : undefined) }],
      }),
    ).rejects.toMatchObject({ code: "disk-full", facts: { folder: join(outputDir, "checkpoint-6") } });
    expect((await readdir(outputDir)).sort()).toEqual(["checkpoint-2", "checkpoint-4", "events.jsonl"]);
    for (const checkpoint of await listCheckpoints(outputDir)) await readCheckpoint(checkpoint.folder);
    expect(readEventLog(join(outputDir, "events.jsonl")).slice(-2)).toMatchObject([
      { type: "run-error", code: "disk-full", step: 6 },
      { type: "run-end", reason: "failed" },
    ]);
    await rm(filler);
    const resumed = await checkpointRun({ ...run, outputDir, resume: true });
    expect(bitsOf(resumed) === bitsOf(expected)).toBe(true);
    expect(await readFile(join(outputDir, "model", "model.safetensors"))).toEqual(
      await readFile(join(workspace, "roomy", "model", "model.safetensors")),
    );
  } finally {
    execFileSync("umount", [disk]);
  }
});
