import { describe, expect, test } from "vitest";
import { unicodeClass } from "./unicode-class.ts";

const matches = (name: Parameters<typeof unicodeClass>[0], character: string): boolean =>
  new RegExp(`^[${unicodeClass(name)}]$`, "u").test(character);

describe("unicodeClass", () => {
  test("ASCII punctuation is what BERT takes for it", () => {
    const punctuation = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code)).filter((c) =>
      matches("punctuation", c),
    );
    expect(punctuation.join("")).toBe("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~");
  });

  test("Chinese characters are the ranges of BERT's tokenization.py", () => {
    const ranges = [
      [0x4e00, 0x9fff],
      [0x3400, 0x4dbf],
      [0x20000, 0x2a6df],
      [0x2a700, 0x2b73f],
      [0x2b740, 0x2b81f],
      // The Rust tokenizers begin this one 256 code points late.
      [0x2b920, 0x2ceaf],
      [0xf900, 0xfaff],
      [0x2f800, 0x2fa1f],
    ];
    const pattern = new RegExp(`^[${unicodeClass("chinese")}]$`, "u");
    for (let code = 0; code < 0x110000; code += 1) {
      if (
        pattern.test(String.fromCodePoint(code)) !== ranges.some(([first, last]) => code >= first! && code <= last!)
      ) {
        expect(code.toString(16)).toBe("in agreement");
      }
    }
  });

  test("the other classes hold what their names say", () => {
    for (const character of ["\u0001", "\u200d", "\ufffd", "\ue000"]) expect(matches("removed", character)).toBe(true);
    for (const character of ["\t", "\n", "\r", " ", "a"]) expect(matches("removed", character)).toBe(false);
    expect(matches("nonspacingMark", "\u0301")).toBe(true);
    expect(matches("nonspacingMark", "\u0903")).toBe(false);
    expect(matches("combiningMark", "\u0903")).toBe(true);
    for (const character of ["a", "é", "中", "я"]) expect(matches("letter", character)).toBe(true);
    for (const character of ["7", "½", "٣"]) expect(matches("number", character)).toBe(true);
  });
});
