import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readModelFolder } from "./read-model-folder.ts";
import type { Float32Tensor } from "./safetensors.ts";
import { type ModelFolderContent, writeModelFolder } from "./write-model-folder.ts";

const saved = join(import.meta.dirname, "__fixtures__", "saved-by-6.2");
let parent: string;
let target: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "gradbank-write-model-folder-"));
  target = join(parent, "model");
});
afterEach(() => rmSync(parent, { recursive: true }));

async function loaded(folder = saved): Promise<ModelFolderContent> {
  const model = await readModelFolder(folder);
  const weights = new Map<string, Float32Tensor>();
  for (const name of model.transformer.weights.names) weights.set(name, await model.transformer.weights.read(name));
  return { ...model, transformer: { ...model.transformer, weights }, embeddingDimension: 4 };
}

const files = (folder: string): string[] => readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
const json = (folder: string, file: string): unknown => JSON.parse(readFileSync(join(folder, file), "utf8"));

describe("writeModelFolder", () => {
  test("writes what Python sentence-transformers 6.2 wrote, file by file and key by key", async () => {
    await writeModelFolder(target, await loaded());
    expect(files(target)).toEqual(files(saved));
    for (const file of files(saved).filter(
      (name) => name.endsWith(".json") && name !== "config_sentence_transformers.json",
    )) {
      expect(json(target, file), file).toEqual(json(saved, file));
    }
    const { __version__: versions, ...config } = json(target, "config_sentence_transformers.json") as Record<
      string,
      unknown
    >;
    const { __version__: _, ...expected } = json(saved, "config_sentence_transformers.json") as Record<string, unknown>;
    expect(config).toEqual(expected);
    expect(versions).toMatchObject({
      sentence_transformers: "6.2.0",
      gradbank: expect.stringMatching(/^\d+\.\d+\.\d+/),
    });
    for (const file of ["model.safetensors", "tokenizer.json"]) {
      expect(readFileSync(join(target, file)).equals(readFileSync(join(saved, file))), file).toBe(true);
    }
  });

  test("keeps a whole-number epsilon a float, as transformers 5 demands", async () => {
    await writeModelFolder(target, await loaded());
    expect(readFileSync(join(target, "config.json"), "utf8")).toMatch(/"initializer_range": 1\.0,\n/);
  });

  test("what is written reads the same, also the other options", async () => {
    const content = await loaded();
    const changed = {
      ...content,
      maxSequenceLength: 17,
      lowercase: true,
      pooling: { mode: "weightedmean", includePrompt: true },
      normalize: false,
      defaultPromptName: null,
      similarityFunctionName: "euclidean",
      truncateDimension: 2,
    } as const;
    await writeModelFolder(target, changed);
    const read = await readModelFolder(target);
    for (const key of [
      "maxSequenceLength",
      "lowercase",
      "pooling",
      "normalize",
      "prompts",
      "defaultPromptName",
      "similarityFunctionName",
      "truncateDimension",
      "tokenizerFiles",
    ] as const) {
      expect(read[key], key).toEqual(changed[key]);
    }
  });

  test("a model with a head becomes a bare one in config.json", async () => {
    const content = await loaded();
    const config = {
      ...content.transformer.config,
      architectures: ["BertForMaskedLM"],
      torch_dtype: "float16",
      _name_or_path: "x",
    };
    await writeModelFolder(target, { ...content, transformer: { ...content.transformer, config } });
    const written = json(target, "config.json") as Record<string, unknown>;
    expect(written).toMatchObject({ architectures: ["BertModel"], dtype: "float32" });
    expect(written).not.toHaveProperty("torch_dtype");
    expect(written).not.toHaveProperty("_name_or_path");
  });

  test("writes more files, also into folders of their own, and over the model that it was read from", async () => {
    await writeModelFolder(target, await loaded());
    await writeModelFolder(target, await loaded(target), {
      extraFiles: {
        "README.md": async (path) => writeFileSync(path, "# Model"),
        "onnx/model.onnx": async (path) => writeFileSync(path, "graph"),
      },
    });
    expect(files(target)).toEqual([...files(saved), "README.md", "onnx", join("onnx", "model.onnx")].sort());
    expect(readFileSync(join(target, "tokenizer.json")).equals(readFileSync(join(saved, "tokenizer.json")))).toBe(true);
  });

  test("a file that fails leaves no folder", async () => {
    const failing = { "onnx/model.onnx": () => Promise.reject(new Error("no graph")) };
    await expect(writeModelFolder(target, await loaded(), { extraFiles: failing })).rejects.toThrow("no graph");
    expect(readdirSync(parent)).toEqual([]);
  });

  test("a tokenizer that is gone is named", async () => {
    const content = await loaded();
    const gone = { ...content, transformer: { ...content.transformer, folder: parent } };
    await expect(writeModelFolder(target, gone)).rejects.toMatchObject({
      code: "missing-file",
      facts: { file: join(parent, "tokenizer.json") },
    });
  });
});
