import { unicodeTables } from "./unicode-tables.ts";

/** A named class of code points in the tables made from the Python tokenizers. */
export type UnicodeClass = keyof typeof unicodeTables;

/**
 * The inside of a regular expression's character class (flag `u`) that matches the code points of a table.
 *
 * @param name The table, see unicode-tables.ts.
 * @returns For instance `\u{21}-\u{2f}\u{3a}-\u{40}`, to be put between brackets.
 */
export function unicodeClass(name: UnicodeClass): string {
  let position = 0;
  return unicodeTables[name]
    .split(" ")
    .map((range) => {
      const [distance, length] = range.split("-") as [string, string | undefined];
      const first = position + Number.parseInt(distance, 36);
      position = first + (length === undefined ? 0 : Number.parseInt(length, 36));
      return first === position ? escaped(first) : `${escaped(first)}-${escaped(position)}`;
    })
    .join("");
}

function escaped(codePoint: number): string {
  return `\\u{${codePoint.toString(16)}}`;
}
