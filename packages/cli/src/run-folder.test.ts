import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { prepareRunFolder } from "./run-folder.ts";

let root: string;
let folder: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "gradbank-run-"));
  folder = join(root, "runs", "quickstart");
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function put(path: string, text = "content"): Promise<void> {
  await mkdir(join(folder, path, ".."), { recursive: true });
  await writeFile(join(folder, path), text);
}

async function names(): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

const former = `${JSON.stringify({ type: "run-start", version: 1 })}\n{"type":"run-end"}\n`;
const results = "eval/Information-Retrieval_evaluation_wordnet-test_results.csv";

describe("prepareRunFolder", () => {
  it("makes a folder, and says what will lie where", async () => {
    expect(await prepareRunFolder(folder)).toEqual({
      folder,
      events: join(folder, "events.jsonl"),
      parity: join(folder, "parity"),
      evaluations: join(folder, "eval"),
      model: join(folder, "model"),
    });
    expect(await readdir(folder)).toEqual([]);
  });

  it("removes a former run's records, but neither its model nor anything else", async () => {
    await put("events.jsonl", former);
    for (const name of ["report.html", "report.json", "junit.xml", "mine.txt"]) await put(`parity/${name}`);
    await put(results);
    await put("eval/mine.csv");
    await put("model/modules.json");
    await put("model/model.safetensors");
    await put("notes.txt");
    await prepareRunFolder(folder);
    expect(await names()).toEqual([
      "eval/mine.csv",
      "model/model.safetensors",
      "model/modules.json",
      "notes.txt",
      "parity/mine.txt",
    ]);
  });

  it("removes nothing where there was no run", async () => {
    const files = [results, "notes.txt", "parity/report.json"];
    for (const file of files) await put(file);
    await prepareRunFolder(folder);
    expect(await names()).toEqual(files);
    await put("events.jsonl", "");
    await prepareRunFolder(folder);
    expect(await names()).toEqual([
      "eval/Information-Retrieval_evaluation_wordnet-test_results.csv",
      "events.jsonl",
      "notes.txt",
      "parity/report.json",
    ]);
  });

  it.each(['{"type":"click"}\n', "plain text", "[]", "null\n"])(
    "leaves alone what is no event log: %j",
    async (text) => {
      await put("events.jsonl", text);
      await put("parity/report.json");
      await expect(prepareRunFolder(folder)).rejects.toMatchObject({
        code: "output-folder-unusable",
        message: expect.stringContaining("events.jsonl"),
      });
      expect(await readFile(join(folder, "events.jsonl"), "utf8")).toBe(text);
      expect(await names()).toEqual(["events.jsonl", "parity/report.json"]);
    },
  );

  it("says early that the model could not be saved", async () => {
    await put("model/diary.txt");
    await expect(prepareRunFolder(folder)).rejects.toMatchObject({
      code: "output-folder-unusable",
      message: expect.stringContaining("diary.txt"),
    });
    await rm(join(folder, "model"), { recursive: true });
    await put("model");
    await expect(prepareRunFolder(folder)).rejects.toMatchObject({ code: "output-folder-unusable" });
  });

  it("refuses a file in place of the folder", async () => {
    await put("a");
    await expect(prepareRunFolder(join(folder, "a"))).rejects.toMatchObject({
      code: "output-folder-unusable",
      message: expect.stringContaining("--output-dir"),
    });
  });
});
