import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DataError } from "../errors.ts";
import type { Dataset } from "./dataset.ts";
import { type LoadDatasetOptions, loadDataset } from "./load-dataset.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-data-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

const readAll = (dataset: Dataset): Promise<string[][]> =>
  dataset.readRows(Array.from({ length: dataset.length }, (_, row) => row));

async function refusal(name: string, content: string | Uint8Array, options?: LoadDatasetOptions): Promise<DataError> {
  const path = await write(name, content);
  const error = await loadDataset(path, options).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(DataError);
  expect((error as DataError).facts.path).toBe(path);
  expect((error as DataError).message).toContain(path);
  return error as DataError;
}

const expected = [
  ['said "hi", left', "two\nlines"],
  ["", "naïve 🙂"],
];

describe("what is read", () => {
  const csv = 'anchor,positive\n"said ""hi"", left","two\nlines"\n,naïve 🙂\n';
  test.each([
    ["plain.csv", csv],
    ["byte-order-mark.csv", `\uFEFF${csv}`],
    ["no-last-newline.csv", csv.slice(0, -1)],
    ["tabs.tsv", 'anchor\tpositive\n"said ""hi"", left"\t"two\nlines"\n\tnaïve 🙂\n'],
    ["empty-lines.csv", csv.replace("\n,", "\n\n\n,")],
    ["lines.jsonl", expected.map(([anchor, positive]) => JSON.stringify({ anchor, positive })).join("\n")],
    [
      "lines.json",
      `\uFEFF${expected.map(([anchor, positive]) => JSON.stringify({ anchor, positive })).join("\r\n\r\n")}\r\n`,
    ],
  ])("%s", async (name, content) => {
    const dataset = await loadDataset(await write(name, content));
    expect(dataset.columnNames).toEqual(["anchor", "positive"]);
    expect(await readAll(dataset)).toEqual(expected);
  });

  test("CRLF ends a row, and a newline inside quotation marks stays what it is", async () => {
    const dataset = await loadDataset(await write("crlf.csv", 'a,b\r\n1,"x\ny"\r\n2,"x\r\ny"\r\n'));
    expect(await readAll(dataset)).toEqual([
      ["1", "x\ny"],
      ["2", "x\r\ny"],
    ]);
  });

  test("columns chooses and orders the columns, and the others may hold anything", async () => {
    const jsonl = await write(
      "choose.jsonl",
      '{"id": 1, "question": "q", "answer": "a"}\n{"answer": "b", "question": "r"}\n',
    );
    const csvPath = await write("choose.csv", "id,question,answer\n1,q,a\n,r,b\n");
    for (const path of [jsonl, csvPath]) {
      const dataset = await loadDataset(path, { columns: ["answer", "question"] });
      expect(dataset.columnNames).toEqual(["answer", "question"]);
      expect(await readAll(dataset)).toEqual([
        ["a", "q"],
        ["b", "r"],
      ]);
    }
  });

  test("format overrules the extension, and quote: false keeps quotation marks", async () => {
    const path = await write("quotes.txt", 'a\tb\n"open\t5" wide\n');
    expect(await readAll(await loadDataset(path, { format: "tsv", quote: false }))).toEqual([['"open', '5" wide']]);
  });

  test("column names that are numbers keep their order", async () => {
    const dataset = await loadDataset(await write("numbers.csv", "2,1,__proto__\na,b,c\n"));
    expect(dataset.columnNames).toEqual(["2", "1", "__proto__"]);
    expect(await readAll(dataset)).toEqual([["a", "b", "c"]]);
  });

  test("any texts come back from CSV, TSV and JSON Lines", async () => {
    const text = fc.string({ unit: "grapheme", maxLength: 12 }).map((value) => value.replaceAll("\uFEFF", ""));
    const special = fc.constantFrom('"', ",", "\t", "\n", "\r\n", '""', " ", "\u2028");
    const value = fc.array(fc.oneof(text, special), { maxLength: 4 }).map((parts) => parts.join(""));
    const quoted = (row: string[], delimiter: string): string =>
      row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(delimiter);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(value, value), { minLength: 1, maxLength: 5 }), async (rows) => {
        const csvPath = await write("any.csv", `a,b\r\n${rows.map((row) => quoted(row, ",")).join("\r\n")}\r\n`);
        const tsvPath = await write("any.tsv", `a\tb\n${rows.map((row) => quoted(row, "\t")).join("\n")}`);
        const jsonl = await write("any.jsonl", rows.map(([a, b]) => JSON.stringify({ a, b })).join("\n"));
        for (const path of [csvPath, tsvPath, jsonl]) expect(await readAll(await loadDataset(path))).toEqual(rows);
      }),
      { numRuns: 60 },
    );
  });

  test("files of several blocks keep every row, and lines are counted through all of them", async () => {
    const filler = "ä".repeat(700);
    const lines = Array.from({ length: 4000 }, (_, row) => JSON.stringify({ a: `${row} ${filler}`, b: "b" }));
    const dataset = await loadDataset(await write("large.jsonl", lines.join("\n")));
    expect(dataset.length).toBe(4000);
    expect((await dataset.readRows([3999]))[0]![0]).toBe(`3999 ${filler}`);
    const broken = await refusal("large-broken.jsonl", [...lines.slice(0, 3500), "oops", ...lines].join("\n"));
    expect(broken.facts.line).toBe(3501);
    const csvLines = lines.map((_, row) => `${row} ${filler},b`);
    expect((await loadDataset(await write("large.csv", ["a,b", ...csvLines].join("\r\n")))).length).toBe(4000);
    const ragged = await refusal(
      "large-ragged.csv",
      ["a,b", ...csvLines.slice(0, 3500), "x", ...csvLines].join("\r\n"),
    );
    expect(ragged).toMatchObject({ code: "ragged-row", facts: { line: 3502, found: 1, expected: 2 } });
  });
});

describe("what is refused", () => {
  test.each<[string, string | Uint8Array, string, Record<string, unknown>, LoadDatasetOptions?]>([
    ["empty.csv", "", "empty-file", {}],
    ["blank.jsonl", "\n  \n", "empty-file", {}],
    ["blank.csv", "\uFEFF\n \n", "empty-file", {}],
    ["header-only.csv", "a,b\n", "empty-file", {}],
    ["missing.csv", "a,b\n1,2\n", "missing-column", { line: 1, column: "c" }, { columns: ["a", "c"] }],
    ["missing.jsonl", '{"a":"1","b":"2"}\n{"a":"1"}\n', "missing-column", { line: 2, column: "b" }],
    ["inherited.jsonl", '{"a":"1"}', "missing-column", { line: 1, column: "toString" }, { columns: ["toString"] }],
    ["no-keys.jsonl", "{}", "missing-column", { line: 1 }],
    ["extra.jsonl", '{"a":"1"}\n\n{"a":"1","z":"2"}\n', "unexpected-column", { line: 3, column: "z" }],
    ["number.jsonl", '{"a":"1"}\n{"a":7}', "invalid-value", { line: 2, column: "a", found: 7 }],
    ["null.jsonl", '{"a":null}', "invalid-value", { line: 1, column: "a", found: null }],
    ["list.jsonl", '{"a":["x"]}', "invalid-value", { line: 1, column: "a" }],
    ["broken.jsonl", '{"a":"1"}\n{"a":', "invalid-json", { line: 2 }],
    ["string.jsonl", '"a"', "invalid-json", { line: 1 }],
    ["array.json", '[\n{"a":"1"}\n]', "invalid-json", { line: 1 }],
    ["short.csv", 'a,b\n"x\ny",2\n3\n', "ragged-row", { line: 4, found: 1, expected: 2 }],
    ["long.csv", "a,b\n\n1,2,3\n", "ragged-row", { line: 3, found: 3, expected: 2 }],
    ["multi-line.csv", 'a,b\n1,2\n"x\ny\nz"\n', "ragged-row", { line: 3, found: 1, expected: 2 }],
    ["twice.csv", "a,a\n1,2\n", "duplicate-column", { line: 1, column: "a" }],
    ["nameless.csv", "a,\n1,2\n", "missing-column", { line: 1 }],
    ["open-quote.csv", 'a,b\n1,2\n"3,4\n', "invalid-quotes", {}],
    ["inner-quote.csv", 'a,b\n1,2\n"3" x,4\n', "invalid-quotes", { line: 3 }],
    ["latin-1.csv", Buffer.from("a,b\n1,2\ncaf\xe9,4\n", "latin1"), "invalid-utf8", { line: 3 }],
    ["latin-1.jsonl", Buffer.from('{"a":"ok"}\n{"a":"caf\xe9"}', "latin1"), "invalid-utf8", { line: 2 }],
    ["utf-16.csv", Buffer.from("\uFEFFa,b\n1,2\n", "utf16le"), "invalid-utf8", { line: 1 }],
    ["unknown.parquet", "PAR1", "unknown-format", {}],
  ])("%s", async (name, content, code, facts, options) => {
    const error = await refusal(name, content, options);
    expect(error.code).toBe(code);
    expect(error.facts).toMatchObject(facts);
    if ("line" in facts) expect(error.message).toContain(`line ${facts.line}`);
    if ("column" in facts) expect(error.message).toContain(`"${facts.column}"`);
  });

  test("a file that is not there and a folder", async () => {
    await expect(loadDataset(join(folder, "nowhere.csv"))).rejects.toMatchObject({ code: "file-not-found" });
    const insideFile = join(await write("file.csv", "a\n1\n"), "x.csv");
    await expect(loadDataset(insideFile)).rejects.toMatchObject({ code: "file-not-found" });
    await expect(loadDataset(folder, { format: "csv" })).rejects.toMatchObject({ code: "not-a-file" });
  });

  test("a format that there is not", async () => {
    const format = "toString" as unknown as "csv";
    await expect(loadDataset("x.csv", { format })).rejects.toMatchObject({ code: "unknown-format" });
  });
});
