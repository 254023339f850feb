import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { readConfigurationDocument } from "./configuration-document.ts";
import type { ConfigurationError } from "./errors.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-configuration-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function write(content: string | Uint8Array, name = "file.yaml"): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, content);
  return file;
}

/** Line and column, from 1, of the first place where `text` stands in `content`. */
function placeOf(content: string, text: string): { line: number; column: number } {
  const lines = content.slice(0, content.indexOf(text)).split("\n");
  return { line: lines.length, column: lines.at(-1)!.length + 1 };
}

describe("places", () => {
  type Tree = readonly Tree[] | { readonly [name: string]: Tree } | null;
  const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 3 },
      fc.constant(null),
      fc.array(tie("tree"), { minLength: 1, maxLength: 3 }),
      fc.dictionary(fc.stringMatching(/^[a-e]$/), tie("tree"), { minKeys: 1, maxKeys: 3 }),
    ),
  }));

  it.each([
    ["YAML", (value: unknown) => stringify(value)],
    ["YAML in one line", (value: unknown) => stringify(value, { collectionStyle: "flow", lineWidth: 0 })],
    ["JSON", (value: unknown) => JSON.stringify(value, null, 2)],
    ["JSON with tabs", (value: unknown) => JSON.stringify(value, null, "\t")],
  ])("of every value and name of %s are those where it stands", async (_, write_) => {
    await fc.assert(
      fc.asyncProperty(tree, async (shape) => {
        // Every leaf becomes a word that stands nowhere else, every name gets a number of its own.
        const leaves: { path: (string | number)[]; word: string }[] = [];
        const names: { path: (string | number)[]; word: string }[] = [];
        const mark = (node: Tree, path: (string | number)[]): unknown => {
          if (node === null) {
            leaves.push({ path, word: `leaf${leaves.length}_` });
            return leaves.at(-1)!.word;
          }
          if (Array.isArray(node)) return node.map((item, index) => mark(item, [...path, index]));
          return Object.fromEntries(
            Object.entries(node).map(([name, item]) => {
              const word = `${name}${names.length}_`;
              names.push({ path: [...path, word], word });
              return [word, mark(item, [...path, word])];
            }),
          );
        };
        const value = mark({ root: shape }, []);
        const content = write_(value);
        const file = await write(content);
        const document = await readConfigurationDocument(file);
        expect(document.value).toEqual(value);
        const quoted = content.startsWith("{\n") || content.startsWith("{\n\t");
        const shown = (word: string) => (quoted ? JSON.stringify(word) : word);
        for (const { path, word } of leaves) {
          const { line, column } = placeOf(content, shown(word));
          expect(document.locate(path)).toEqual({ place: `${file}:${line}:${column}`, line, column });
        }
        for (const { path, word } of names)
          expect(document.locateName(path)).toMatchObject(placeOf(content, shown(word)));
      }),
      { numRuns: 60 },
    );
  });

  it("of what is not there is that of the innermost parent", async () => {
    const document = await readConfigurationDocument(await write("a:\n  b: 1\n  list:\n    - x\n"));
    expect(document.locate(["a", "missing", "deep"])).toMatchObject({ line: 2, column: 3 });
    expect(document.locate(["a", "list", 7])).toMatchObject({ line: 4, column: 5 });
    expect(document.locate(["nothing"])).toMatchObject({ line: 1, column: 1 });
  });

  it("are found behind an alias", async () => {
    const document = await readConfigurationDocument(await write("base: &base\n  scale: 3\nloss: *base\n"));
    expect(document.value).toEqual({ base: { scale: 3 }, loss: { scale: 3 } });
    expect(document.locate(["loss"])).toMatchObject({ line: 3, column: 7 });
    expect(document.locate(["loss", "scale"])).toMatchObject({ line: 2, column: 10 });
  });
});

describe("what cannot be read", () => {
  async function refusal(file: string): Promise<ConfigurationError> {
    const error = await readConfigurationDocument(file).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeDefined();
    expect((error as ConfigurationError).message).toContain(file);
    return error as ConfigurationError;
  }

  it("is told with all places", async () => {
    const error = await refusal(await write("a: [1, 2\nb: 'x\n"));
    expect(error.code).toBe("invalid-syntax");
    expect(error.problems.length).toBeGreaterThan(0);
    expect(error.problems.every(({ line }) => line !== undefined && line >= 1)).toBe(true);
    const twice = await refusal(await write("a: 1\nb: 2\na: 3\nb: 4\n"));
    expect(twice.problems.map(({ line, column }) => [line, column])).toEqual([
      [3, 1],
      [4, 1],
    ]);
    expect(twice.message).toMatch(/has 2 mistakes/);
  });

  it.each([
    ["broken JSON", '{"a": 1,, "b": }', "invalid-syntax"],
    ["an unknown alias", "a: *nowhere", "invalid-syntax"],
    ["two documents", "a: 1\n---\nb: 2\n", "invalid-syntax"],
    ["nothing", "", "invalid-syntax"],
    ["comments only", "# nothing\n", "invalid-syntax"],
    ["bytes that are not UTF-8", Uint8Array.of(0x61, 0x3a, 0xff), "unreadable-file"],
  ])("%s", async (_, content, code) => {
    expect((await refusal(await write(content))).code).toBe(code);
  });

  it("aliases that multiply without end", async () => {
    const bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"];
    for (let level = 1; level < 12; level++)
      bomb.push(
        `a${level}: &a${level} [${Array(9)
          .fill(`*a${level - 1}`)
          .join(", ")}]`,
      );
    expect((await refusal(await write(bomb.join("\n")))).code).toBe("invalid-syntax");
  });

  it("a missing file, and a folder", async () => {
    expect((await refusal(join(folder, "missing.yaml"))).message).toMatch(/no such file/);
    expect((await refusal(folder)).message).toMatch(/this is a folder/);
    expect((await refusal(join(folder, "missing.yaml"))).code).toBe("unreadable-file");
  });

  it("reads a file with a byte order mark and Windows line ends", async () => {
    const document = await readConfigurationDocument(await write("\uFEFFa: 1\r\nb:\r\n  c: x\r\n"));
    expect(document.value).toEqual({ a: 1, b: { c: "x" } });
    expect(document.locate(["b", "c"])).toMatchObject({ line: 3, column: 6 });
  });
});
