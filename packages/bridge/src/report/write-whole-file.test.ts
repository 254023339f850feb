import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { BridgeError } from "../errors.ts";
import { writeWholeFile } from "./write-whole-file.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-report-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

it("makes the folder, replaces what is there and leaves nothing else", async () => {
  const path = join(folder, "a", "b", "report.json");
  await writeWholeFile(path, "first, and longer");
  await writeWholeFile(path, "größer 🙂");
  expect(await readFile(path, "utf8")).toBe("größer 🙂");
  expect(await readdir(join(folder, "a", "b"))).toEqual(["report.json"]);
});

it("is never seen half written, by whoever reads and whoever writes at the same time", async () => {
  const path = join(folder, "report.json");
  const texts = ["a", "b", "c", "d"].map((letter) => letter.repeat(300_000));
  await writeWholeFile(path, texts[0]!);
  const writes = Promise.all(texts.map((text) => writeWholeFile(path, text)));
  let isDone = false;
  void writes.then(() => {
    isDone = true;
  });
  while (!isDone) expect(texts).toContain(await readFile(path, "utf8"));
  expect(await readdir(folder)).toEqual(["report.json"]);
});

it("leaves the old file and no leftover when it cannot be moved to its place", async () => {
  const path = join(folder, "report.json");
  await mkdir(path);
  await writeFile(join(path, "inside"), "old");
  const error = await writeWholeFile(path, "new").catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(BridgeError);
  expect(error).toMatchObject({ code: "report-not-written", facts: { path } });
  expect(await readdir(folder)).toEqual(["report.json"]);
  expect(await readFile(join(path, "inside"), "utf8")).toBe("old");
});
