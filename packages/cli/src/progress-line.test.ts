import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ProgressLine } from "./progress-line.ts";
import { describeTerminal, styled, type Terminal } from "./terminal.ts";

function capture(terminal: Partial<Terminal>): { lines: ProgressLine; written: () => string } {
  let text = "";
  const write = (part: string) => {
    text += part;
  };
  const lines = new ProgressLine({ isInteractive: true, isColored: false, columns: () => 20, ...terminal, write });
  return { lines, written: () => text };
}

afterEach(() => void vi.useRealTimers());

describe("ProgressLine", () => {
  it("counts the seconds of a wait until something else is said", () => {
    vi.useFakeTimers();
    const { lines, written } = capture({});
    lines.wait("wait");
    vi.advanceTimersByTime(2000);
    lines.show("next");
    vi.advanceTimersByTime(5000);
    lines.wait("again");
    lines.write("done");
    vi.advanceTimersByTime(5000);
    expect(written().split("\r\u001b[2K")).toEqual([
      "",
      "wait ...",
      "wait ... 1 s",
      "wait ... 2 s",
      "next",
      "again ...",
      "done\n",
    ]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("starts no clock where lines cannot be overwritten", () => {
    vi.useFakeTimers();
    const { lines, written } = capture({ isInteractive: false });
    lines.wait("wait");
    vi.advanceTimersByTime(2000);
    expect([written(), vi.getTimerCount()]).toEqual(["", 0]);
  });

  it("overwrites passing text on a terminal", () => {
    const { lines, written } = capture({});
    lines.show("one");
    lines.show("two");
    lines.write("stays");
    lines.write("too");
    expect(written()).toBe("\r\u001b[2Kone\r\u001b[2Ktwo\r\u001b[2Kstays\ntoo\n");
  });

  it("writes whole lines only elsewhere", () => {
    const { lines, written } = capture({ isInteractive: false });
    lines.show("passes");
    lines.clear();
    lines.write("stays");
    expect(written()).toBe("stays\n");
  });

  it("never fills a line of the terminal", () => {
    fc.assert(
      fc.property(fc.nat(200), fc.integer({ min: 1, max: 120 }), (length, columns) => {
        const { lines, written } = capture({ columns: () => columns });
        lines.show("x".repeat(length));
        expect(written().replace("\r\u001b[2K", "").length).toBe(Math.min(length, columns - 1));
      }),
    );
  });
});

describe("describeTerminal", () => {
  const stream = { isTTY: true, columns: 100, write: () => true };
  it.each([
    ["a terminal", stream, {}, [true, true, 100]],
    ["NO_COLOR", stream, { NO_COLOR: "1" }, [true, false, 100]],
    ["an empty NO_COLOR", stream, { NO_COLOR: "" }, [true, true, 100]],
    ["continuous integration", stream, { CI: "true" }, [false, false, 100]],
    ["TERM=dumb", stream, { TERM: "dumb" }, [false, false, 100]],
    ["a file", { ...stream, isTTY: undefined as unknown as boolean, columns: 0 }, {}, [false, false, 80]],
  ])("%s", (_, given, environment, expected) => {
    const terminal = describeTerminal(given, environment);
    expect([terminal.isInteractive, terminal.isColored, terminal.columns()]).toEqual(expected);
    expect(styled(terminal, "green", "yes")).toBe(terminal.isColored ? "\u001b[32myes\u001b[39m" : "yes");
  });
});
