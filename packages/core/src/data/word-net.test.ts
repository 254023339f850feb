import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadWordNet, parseSynset } from "./word-net.ts";

const synset = (gloss: string, head = "00001740 03 n 01 entity 0 001 ~ 00001930 n 0000"): string =>
  `${head} | ${gloss}  `;

test.each([
  ["a nap", "a nap", []],
  ['a nap; "a short zizz"', "a nap", ["a short zizz"]],
  [
    'brave; bold; "a bold plan; too bold"; "bold"- W. Author; "b"',
    "brave; bold",
    ["a bold plan; too bold", "bold", "b"],
  ],
  ['remove gradually: "chipping away"', "remove gradually", ["chipping away"]],
  ['a demand in the phrase "the call of duty"', 'a demand in the phrase "the call of duty"', []],
  ['as in "x"; "used y"', 'as in "x"', ["used y"]],
  ['here; "she is here"; (`hither\' is archaic)', "here", ["she is here"]],
  ['"only an example"', "", ["only an example"]],
])("the gloss %s", (gloss, definition, examples) => {
  expect(parseSynset(synset(gloss), "data.noun", 1)).toEqual({ words: ["entity"], definition, examples });
});

test("the number of words is hexadecimal, underscores are spaces, adjectives lose their markers", () => {
  const words = Array.from({ length: 0x11 }, (_, index) => `word_${index}${["(p)", "(a)", "(ip)", ""][index % 4]}`);
  const text = synset("a thing", `00001740 00 s 11 ${words.map((word) => `${word} 0`).join(" ")} 000`);
  expect(parseSynset(text, "data.adj", 1).words).toEqual(Array.from({ length: 17 }, (_, index) => `word ${index}`));
});

test.each([
  "",
  "00001740 03 n 01 entity 0 000",
  "0000174 03 n 01 entity 0 000 | x",
  "00001740 03 n 02 entity 0 000 | x",
  "00001740 03 n zz entity 0 000 | x",
])("refuses %j with file and line", (text) => {
  expect(() => parseSynset(text, "data.noun", 31)).toThrow(
    expect.objectContaining({ code: "invalid-synset", facts: { path: "data.noun", line: 31 } }),
  );
});

test("WordNet 3.1 becomes pairs with one right entry a definition", async () => {
  const dataset = await loadWordNet();
  expect(dataset.columnNames).toEqual(["definition", "entry"]);
  const rows = await dataset.readRows(Array.from({ length: dataset.length }, (_, row) => row));
  expect(dataset.length).toBe(105895);
  expect(new Set(rows.map(([definition]) => definition)).size).toBe(rows.length);
  expect(new Set(rows.map(([, entry]) => entry)).size).toBe(rows.length);
  expect(rows[0]).toEqual([
    "that which is perceived or known or inferred to have its own distinct existence (living or nonliving)",
    "entity",
  ]);
  const entryOf = new Map(rows as [string, string][]);
  expect(entryOf.get("breathe with great difficulty, as when experiencing a strong emotion")).toBe(
    "choke: She choked with emotion when she spoke about her deceased husband",
  );
  expect(entryOf.get("without musical accompaniment")).toBe("a cappella, a capella: they performed a cappella");
  expect(entryOf.has("a variety of aster")).toBe(false);
  for (const [definition, entry] of rows) {
    expect(definition).toMatch(/^\S.* .*\S$/);
    expect(entry).toMatch(/^\S.*\S$|^\S$/);
    expect(entry).not.toMatch(/\w_\w/);
  }
});

test("a folder without WordNet and a file that is not WordNet's", async () => {
  const folder = await mkdtemp(join(tmpdir(), "gradbank-wordnet-"));
  try {
    await expect(loadWordNet({ folder })).rejects.toMatchObject({
      code: "file-not-found",
      facts: { path: join(folder, "data.noun") },
    });
    await writeFile(join(folder, "data.noun"), `  1 licence\n${synset("one thing")}\nnonsense\n`);
    await expect(loadWordNet({ folder })).rejects.toMatchObject({ code: "invalid-synset", facts: { line: 3 } });
  } finally {
    await rm(folder, { recursive: true });
  }
});
