import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parityHeadings, parityRow } from "./parity-table.ts";
import type { Terminal } from "./terminal.ts";
import { sampleExactStage, sampleParityStages, sampleStage, sampleStepReport } from "./testing/sample-parity.ts";

function terminal(given: Partial<Terminal> = {}): Terminal {
  return { write: () => {}, isInteractive: false, isColored: false, columns: () => 80, ...given };
}

function cells(line: string): string[] {
  return line.trim().split(/ +/);
}

const narrow = terminal({ isInteractive: true });
const wide = terminal({ isInteractive: true, columns: () => 120 });

describe("parityRow", () => {
  it("shows the worst multiple of each stage", () => {
    expect(cells(parityHeadings(terminal()))).toEqual(
      "step tokens embeddings scores labels loss dL/dE replay bank gradients norm moments weights".split(" "),
    );
    expect(cells(parityRow(sampleStepReport(12), terminal()))).toEqual(
      "ok 12 ok 0.8 0 ok <0.1 1.3 ok - 3.2 0.2 0.5 0.5".split(" "),
    );
  });

  it("marks what differs by sign", () => {
    const stages = [
      sampleExactStage("tokens", false),
      sampleStage("embeddings", { equal: false, multiple: 42.1 }),
      sampleStage("scores", { equal: false, multiple: null }),
      sampleExactStage("labels"),
      sampleStage("bank", { multiple: 7 }),
    ];
    expect(parityRow(sampleStepReport(1, stages), terminal())).toMatch(
      /^!! {4}1 +!! +42!! +inf!! +ok +- +- +- +7\.0( +-){4}$/,
    );
  });

  it("says by colour what it says by sign", () => {
    const stages = [sampleStage("embeddings", { equal: false, multiple: 42.1 }), sampleExactStage("labels")];
    const row = parityRow(sampleStepReport(1, stages), terminal({ isColored: true }));
    const colors = row
      .replaceAll("\u001b[31m", "<red>")
      .replaceAll("\u001b[32m", "<green>")
      .replaceAll("\u001b[39m", "</>");
    expect(colors).toMatch(/^<red>!!<\/>/);
    expect(colors).toMatch(/<red> +42!!<\/>/);
    expect(colors).toMatch(/<green> +ok<\/>/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken away
    expect(row.replaceAll(/\u001b\[\d+m/g, "")).toBe(parityRow(sampleStepReport(1, stages), terminal()));
  });

  it("stands below its headings, within the terminal's width, whatever the numbers are", () => {
    const multiple = fc.oneof(fc.constant(null), fc.double({ min: 0, max: 9e99, noNaN: true }));
    fc.assert(
      fc.property(
        fc.constantFrom(narrow, wide, terminal()),
        fc.integer({ min: 1, max: 9999 }),
        multiple,
        (to, step, value) => {
          const ends = (line: string) => [...line.matchAll(/\S(?= |$)/g)].map(({ index }) => index);
          const equal = value !== null && value < 1000;
          const stages = sampleParityStages({ equal, multiple: value });
          const row = parityRow(sampleStepReport(step, stages), to);
          if (to.isInteractive) expect(row.length).toBeLessThan(to.columns());
          // A heading may have a space of its own: "m, v".
          expect(ends(parityHeadings(to).replace("m, v", "m_v_"))).toEqual(ends(row).slice(1));
        },
      ),
    );
  });
});
