import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readModelFolder } from "./read-model-folder.ts";
import { readSafetensors, writeSafetensors } from "./safetensors.ts";

const saved = join(import.meta.dirname, "__fixtures__", "saved-by-6.2");
let folder: string;
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), "gradbank-model-folder-")), "model");
  cpSync(saved, folder, { recursive: true });
});
afterEach(() => rmSync(join(folder, ".."), { recursive: true }));

const write = (file: string, content: unknown): void => writeFileSync(join(folder, file), JSON.stringify(content));
const change = (file: string, changes: Record<string, unknown>): void =>
  write(file, { ...JSON.parse(readFileSync(join(folder, file), "utf8")), ...changes });
const remove = (file: string): void => rmSync(join(folder, file), { recursive: true });
const modules = (...types: string[]): void =>
  write(
    "modules.json",
    types.map((type, idx) => ({
      idx,
      name: `${idx}`,
      path: ["", "1_Pooling", "2_Normalize"][idx] ?? `${idx}_X`,
      type,
    })),
  );

describe("a folder saved by Python sentence-transformers 6.2", () => {
  test("is read with all that it says", async () => {
    const model = await readModelFolder(folder);
    expect(model).toMatchObject({
      folder,
      maxSequenceLength: 48,
      lowercase: false,
      pooling: { mode: "cls", includePrompt: false },
      normalize: true,
      prompts: { query: "Frage: ", document: "", title: "Titel – " },
      defaultPromptName: "title",
      similarityFunctionName: "dot",
      truncateDimension: null,
      tokenizerFiles: ["tokenizer.json", "tokenizer_config.json"],
    });
    expect(model.transformer.config).toMatchObject({ model_type: "bert", hidden_size: 4 });
    expect(model.transformer.folder).toBe(join(folder, "."));
  });

  test("its weights are read by name, on demand", async () => {
    const { weights } = (await readModelFolder(folder)).transformer;
    const { tensors } = await readSafetensors(join(folder, "model.safetensors"));
    expect([...weights.names].sort()).toEqual([...tensors.keys()].sort());
    const name = "encoder.layer.0.attention.self.query.weight";
    expect(weights.shapeOf(name)).toEqual([4, 4]);
    expect((await weights.read(name)).data).toEqual(tensors.get(name)!.data);
    await expect(weights.read("encoder.layer.7.x")).rejects.toMatchObject({
      code: "missing-tensor",
      facts: { tensor: "encoder.layer.7.x" },
    });
  });
});

describe("older eras", () => {
  const old = (): void => {
    modules(
      "sentence_transformers.models.Transformer",
      "sentence_transformers.models.Pooling",
      "sentence_transformers.models.Normalize",
    );
    write("sentence_bert_config.json", { max_seq_length: 32, do_lower_case: true });
    write("1_Pooling/config.json", {
      word_embedding_dimension: 4,
      pooling_mode_cls_token: false,
      pooling_mode_mean_tokens: true,
      pooling_mode_max_tokens: false,
      pooling_mode_mean_sqrt_len_tokens: false,
    });
    remove("2_Normalize/config.json");
    write("config_sentence_transformers.json", {
      __version__: { sentence_transformers: "2.0.0", transformers: "4.6.1", pytorch: "1.8.1" },
    });
  };

  test("5.x and before", async () => {
    old();
    expect(await readModelFolder(folder)).toMatchObject({
      maxSequenceLength: 32,
      lowercase: true,
      pooling: { mode: "mean", includePrompt: true },
      normalize: true,
      prompts: { query: "", document: "" },
      defaultPromptName: null,
      similarityFunctionName: "cosine",
    });
  });

  test("transformer in a folder of its own, no config_sentence_transformers.json", async () => {
    old();
    remove("config_sentence_transformers.json");
    mkdirSync(join(folder, "0_Transformer"));
    for (const file of ["config.json", "model.safetensors", "tokenizer.json", "sentence_bert_config.json"]) {
      renameSync(join(folder, file), join(folder, "0_Transformer", file));
    }
    write("modules.json", [
      { idx: 0, name: "0", path: "0_Transformer", type: "sentence_transformers.models.Transformer" },
      { idx: 1, name: "1", path: "1_Pooling", type: "sentence_transformers.models.Pooling" },
    ]);
    const model = await readModelFolder(folder);
    expect(model).toMatchObject({ maxSequenceLength: 32, normalize: false, tokenizerFiles: ["tokenizer.json"] });
    expect(model.transformer.folder).toBe(join(folder, "0_Transformer"));
  });

  test.each([
    ["pooling_mode_cls_token", "cls"],
    ["pooling_mode_max_tokens", "max"],
    ["pooling_mode_weightedmean_tokens", "weightedmean"],
    ["pooling_mode_lasttoken", "lasttoken"],
  ])("%s means %s", async (key, mode) => {
    old();
    write("1_Pooling/config.json", { word_embedding_dimension: 4, pooling_mode_mean_tokens: false, [key]: true });
    expect((await readModelFolder(folder)).pooling.mode).toBe(mode);
  });
});

describe("a bare Hugging Face folder", () => {
  const strip = (): void => {
    for (const file of [
      "modules.json",
      "config_sentence_transformers.json",
      "sentence_bert_config.json",
      "1_Pooling",
      "2_Normalize",
    ])
      remove(file);
  };

  test("gets mean pooling and no normalization", async () => {
    strip();
    expect(await readModelFolder(folder)).toMatchObject({
      pooling: { mode: "mean", includePrompt: true },
      normalize: false,
      maxSequenceLength: 48,
      similarityFunctionName: "cosine",
    });
  });

  test.each([
    // model_type, positions, pad id, tokenizer's length, expected
    ["mpnet", 514, 1, 512, 512],
    ["roberta", 514, 1, undefined, 512],
    ["xlm-roberta", 130, 1, 1e30, 128],
    ["bert", 512, 0, 1e30, 512],
    ["bert", 512, 0, 128, 128],
    ["distilbert", 40, 0, 512, 40],
  ])(
    "%s with %d positions, pad id %d and a tokenizer for %s takes %d tokens",
    async (model_type, positions, pad_token_id, length, expected) => {
      strip();
      change("config.json", { model_type, max_position_embeddings: positions, pad_token_id });
      change("tokenizer_config.json", { model_max_length: length });
      expect((await readModelFolder(folder)).maxSequenceLength).toBe(expected);
    },
  );

  test("a masked language model's prefix and head are taken off", async () => {
    strip();
    const { tensors } = await readSafetensors(join(folder, "model.safetensors"));
    const renamed = [...tensors].map(
      ([name, { shape, data }]) => [`bert.${name}`, { shape, data: data as Float32Array }] as const,
    );
    await writeSafetensors(
      join(folder, "model.safetensors"),
      new Map([...renamed, ["cls.bias", { shape: [1], data: Float32Array.of(1) }]]),
    );
    const { weights } = (await readModelFolder(folder)).transformer;
    expect([...weights.names].sort()).toEqual([...tensors.keys()].sort());
    expect((await weights.read("pooler.dense.bias")).data).toEqual(tensors.get("pooler.dense.bias")!.data);
  });

  test("weights in several files are one", async () => {
    strip();
    const { tensors } = await readSafetensors(join(folder, "model.safetensors"));
    const entries = [...tensors].map(
      ([name, { shape, data }]) => [name, { shape, data: data as Float32Array }] as const,
    );
    remove("model.safetensors");
    await writeSafetensors(join(folder, "model-00001-of-00002.safetensors"), new Map(entries.slice(0, 5)));
    await writeSafetensors(join(folder, "model-00002-of-00002.safetensors"), new Map(entries.slice(5)));
    const weight_map = Object.fromEntries(
      entries.map(([name], index) => [name, `model-0000${index < 5 ? 1 : 2}-of-00002.safetensors`]),
    );
    write("model.safetensors.index.json", { metadata: {}, weight_map });
    const { weights } = (await readModelFolder(folder)).transformer;
    for (const [name, { data }] of entries) expect((await weights.read(name)).data).toEqual(data);

    write("model.safetensors.index.json", { weight_map: { ...weight_map, ghost: "model-00001-of-00002.safetensors" } });
    await expect(readModelFolder(folder)).rejects.toMatchObject({ code: "missing-tensor", facts: { tensor: "ghost" } });
    write("model.safetensors.index.json", { weight_map: { a: "../elsewhere.safetensors" } });
    await expect(readModelFolder(folder)).rejects.toMatchObject({ code: "invalid-json" });
  });
});

describe("refused, with what was found and what is supported", () => {
  const cases: [string, () => void, string, RegExp][] = [
    [
      "a Dense module",
      () =>
        modules(
          "sentence_transformers.models.Transformer",
          "sentence_transformers.models.Pooling",
          "sentence_transformers.models.Dense",
        ),
      "unsupported-module",
      /unknown: sentence_transformers\.models\.Dense.*Supported are Transformer, Pooling/s,
    ],
    [
      "a module of one's own called Pooling",
      () => modules("sentence_transformers.models.Transformer", "custom_code.Pooling"),
      "unsupported-module",
      /unknown: custom_code\.Pooling/,
    ],
    [
      "a static embedding",
      () => modules("sentence_transformers.models.StaticEmbedding"),
      "unsupported-module",
      /StaticEmbedding/,
    ],
    [
      "no pooling",
      () => modules("sentence_transformers.models.Transformer"),
      "unsupported-module",
      /lists the modules Transformer\./,
    ],
    [
      "Normalize before Pooling",
      () =>
        modules(
          "sentence_transformers.models.Transformer",
          "sentence_transformers.models.Normalize",
          "sentence_transformers.models.Pooling",
        ),
      "unsupported-module",
      /Transformer, Normalize, Pooling/,
    ],
    [
      "two poolings at once",
      () => write("1_Pooling/config.json", { pooling_mode_cls_token: true, pooling_mode_mean_tokens: true }),
      "unsupported-pooling",
      /cls \+ mean; supported is one of mean, cls/,
    ],
    [
      "two poolings at once, 6.x",
      () => write("1_Pooling/config.json", { embedding_dimension: 4, pooling_mode: ["cls", "max"] }),
      "unsupported-pooling",
      /cls \+ max/,
    ],
    [
      "an unknown pooling",
      () => write("1_Pooling/config.json", { pooling_mode: "mean_sqrt_len_tokens" }),
      "unsupported-pooling",
      /mean_sqrt_len_tokens/,
    ],
    [
      "a pooling for another dimension",
      () => change("1_Pooling/config.json", { embedding_dimension: 5 }),
      "unsupported-pooling",
      /dimension 5, but .* 4/,
    ],
    [
      "a sparse encoder",
      () => change("config_sentence_transformers.json", { model_type: "SparseEncoder" }),
      "unsupported-module",
      /"SparseEncoder"/,
    ],
    [
      "an unknown similarity",
      () => change("config_sentence_transformers.json", { similarity_fn_name: "maxsim" }),
      "unsupported-option",
      /"maxsim"/,
    ],
    [
      "a default prompt that is none",
      () => change("config_sentence_transformers.json", { default_prompt_name: "x" }),
      "invalid-json",
      /"x", but its prompts are query, document, title/,
    ],
    [
      "another task",
      () => change("sentence_bert_config.json", { transformer_task: "fill-mask" }),
      "unsupported-option",
      /transformer_task "fill-mask"/,
    ],
    [
      "processing arguments",
      () => change("sentence_bert_config.json", { processing_kwargs: { text: { max_length: 8 } } }),
      "unsupported-option",
      /processing_kwargs/,
    ],
    [
      "a module outside the folder",
      () => write("modules.json", [{ path: "../x", type: "sentence_transformers.models.Transformer" }]),
      "invalid-json",
      /outside/,
    ],
    ["modules.json that is no list", () => write("modules.json", { a: 1 }), "invalid-json", /list of modules/],
    [
      "broken JSON",
      () => writeFileSync(join(folder, "config.json"), "{"),
      "invalid-json",
      /config\.json is not valid JSON/,
    ],
    ["no config.json", () => remove("config.json"), "missing-file", /no config\.json/],
    ["no weights", () => remove("model.safetensors"), "missing-file", /no model\.safetensors/],
    [
      "pickled weights only",
      () => renameSync(join(folder, "model.safetensors"), join(folder, "pytorch_model.bin")),
      "missing-file",
      /weights in pytorch_model\.bin.*save_pretrained/s,
    ],
    ["no folder", () => remove("."), "missing-folder", /There is no model folder/],
  ];
  test.each(cases)("%s", async (_, prepare, code, message) => {
    prepare();
    const reading = readModelFolder(folder);
    await expect(reading).rejects.toMatchObject({ code });
    await expect(reading).rejects.toThrow(message);
  });

  test("a NaN weight, when it is read", async () => {
    const { tensors } = await readSafetensors(join(folder, "model.safetensors"));
    const weights = new Map(
      [...tensors].map(([name, { shape, data }]) => [name, { shape, data: data as Float32Array }]),
    );
    weights.get("pooler.dense.bias")!.data[2] = Number.NaN;
    await writeSafetensors(join(folder, "model.safetensors"), weights);
    const model = await readModelFolder(folder);
    await expect(model.transformer.weights.read("pooler.dense.bias")).rejects.toMatchObject({
      code: "non-finite-weight",
      facts: { tensor: "pooler.dense.bias", index: 2 },
    });
  });
});
