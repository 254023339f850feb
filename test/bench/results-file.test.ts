import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { writeResults } from "./results-file.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-results-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("makes the folder, replaces an older file and leaves nothing else", async () => {
  const path = join(folder, "new", "latest.json");
  await writeResults(path, { round: 1 });
  await writeResults(path, { round: 2 });
  expect(JSON.parse(await readFile(path, "utf8"))).toEqual({ round: 2 });
  expect(await readdir(join(folder, "new"))).toEqual(["latest.json"]);
});

test("a failure keeps the older file and leaves no other", async () => {
  const path = join(folder, "latest.json");
  await writeResults(path, { round: 1 });
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  await expect(writeResults(path, circular)).rejects.toThrow(/circular/);
  expect(JSON.parse(await readFile(path, "utf8"))).toEqual({ round: 1 });
  // A folder in the file's place lets the last step fail.
  await mkdir(join(folder, "taken", "inside"), { recursive: true });
  await expect(writeResults(join(folder, "taken"), {})).rejects.toThrow();
  expect((await readdir(folder)).sort()).toEqual(["latest.json", "taken"]);
});
