import fc from "fast-check";
import { expect, test } from "vitest";
import { formatTable } from "./table.ts";

test("columns are aligned", () => {
  expect(
    formatTable([
      ["loss", "gradbank", "Python"],
      ["GradCache", "12.5", "8.25"],
      ["direct", "100.0"],
    ]),
  ).toBe(
    [
      "loss       gradbank  Python", //
      "---------  --------  ------",
      "GradCache      12.5    8.25",
      "direct        100.0",
    ].join("\n"),
  );
});

test("every cell ends where its column ends", () => {
  const cell = fc.stringMatching(/^[a-z0-9.]{1,12}$/);
  fc.assert(
    fc.property(fc.array(fc.tuple(cell, cell, cell), { minLength: 1, maxLength: 8 }), (rows) => {
      const [head, line, ...body] = formatTable(rows).split("\n");
      const ends = [...line!.matchAll(/-+/g)].map((match) => match.index + match[0].length);
      for (const [index, text] of [head!, ...body].entries()) {
        expect(text.length).toBe(ends[2]);
        expect(text.slice(0, ends[1]).endsWith(rows[index]![1])).toBe(true);
        expect(text.endsWith(rows[index]![2])).toBe(true);
      }
    }),
  );
});
