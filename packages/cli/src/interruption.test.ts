import { EventEmitter } from "node:events";
import { describe, expect, it } from "vitest";
import { Interruption } from "./interruption.ts";

function listening() {
  const source = new EventEmitter();
  const exits: number[] = [];
  const clock = { time: 5000 };
  const interruption = new Interruption({ source, exit: (code) => exits.push(code), now: () => clock.time });
  interruption.listen();
  return { source, exits, clock, interruption };
}

describe("Interruption", () => {
  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("asks once on %s", (signal) => {
    const { source, exits, interruption } = listening();
    const asked: string[] = [];
    interruption.onRequest((given) => asked.push(given));
    expect(interruption.signal).toBeUndefined();
    source.emit(signal, signal);
    source.emit("SIGINT", "SIGINT");
    expect([asked, exits, interruption.signal]).toEqual([[signal], [], signal]);
  });

  it("takes a signal within a second for the same one, and ends on a later one", () => {
    const { source, exits, clock } = listening();
    source.emit("SIGINT", "SIGINT");
    clock.time += 1000;
    source.emit("SIGINT", "SIGINT");
    expect(exits).toEqual([]);
    clock.time += 1;
    source.emit("SIGTERM", "SIGTERM");
    expect(exits).toEqual([130]);
  });

  it("tells those who ask late", () => {
    const { source, interruption } = listening();
    source.emit("SIGTERM", "SIGTERM");
    const asked: string[] = [];
    interruption.onRequest((given) => asked.push(given));
    expect(asked).toEqual(["SIGTERM"]);
  });

  it("leaves signals alone after its end", () => {
    const { source, interruption } = listening();
    interruption.close();
    expect(source.eventNames()).toEqual([]);
  });
});
