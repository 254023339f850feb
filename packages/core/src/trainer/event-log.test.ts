import { execFileSync, spawnSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { DataError, TrainingError } from "../errors.ts";
import { everyKindOfEvent } from "../testing/trainer-events.ts";
import { EventLogReader, EventLogWriter, readEventLog } from "./event-log.ts";
import { createEvent, encodeEvent } from "./events.ts";

const folder = mkdtempSync(join(tmpdir(), "gradbank-event-log-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
const newPath = () => join(folder, `run-${files++}`, "events.jsonl");

function writeAll(path: string, events = everyKindOfEvent): void {
  const log = new EventLogWriter(path);
  for (const event of events) log.append(event);
  log.close();
}

function errorOf(action: () => unknown): TrainingError & DataError {
  try {
    action();
  } catch (error) {
    return error as TrainingError & DataError;
  }
  throw new Error("nothing was thrown");
}

test("what is written is read, and a second writer goes on after it", () => {
  const path = newPath();
  writeAll(path);
  writeAll(path, everyKindOfEvent.slice(0, 2));
  expect(readEventLog(path)).toEqual([...everyKindOfEvent, ...everyKindOfEvent.slice(0, 2)]);
  expect(readFileSync(path, "utf8").split("\n")).toHaveLength(everyKindOfEvent.length + 3);
});

test("an event is in the file when append returns", () => {
  const path = newPath();
  const log = new EventLogWriter(path);
  for (const [index, event] of everyKindOfEvent.entries()) {
    log.append(event);
    expect(readEventLog(path)).toHaveLength(index + 1);
  }
  log.close();
  log.close();
  expect(errorOf(() => log.append(everyKindOfEvent[0]!)).code).toBe("event-log-closed");
});

test("a growing file, cut at any bytes, is read event by event and without loss", () => {
  const bytes = Buffer.from(everyKindOfEvent.map((event) => `${encodeEvent(event)}\n`).join(""), "utf8");
  const ends = [...bytes.entries()].filter(([, byte]) => byte === 10).map(([index]) => index + 1);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 12 }), (cuts) => {
      const path = newPath();
      mkdirSync(join(path, ".."));
      writeFileSync(path, "");
      const reader = new EventLogReader(path);
      const read = [];
      let written = 0;
      for (const cut of [...cuts.sort((a, b) => a - b), bytes.length]) {
        appendFileSync(path, bytes.subarray(written, cut));
        written = cut;
        read.push(...reader.read());
        expect(read).toHaveLength(ends.filter((end) => end <= cut).length);
        expect(reader.endsInHalfLine).toBe(cut > 0 && !ends.includes(cut));
      }
      expect(read).toEqual(everyKindOfEvent);
      expect(reader.read()).toEqual([]);
    }),
    { numRuns: 40 },
  );
});

test("half a line that a killed writer left is cut off before more is written", () => {
  const path = newPath();
  for (const kept of [1, 40, 70_000]) {
    rmSync(path, { force: true });
    const long = createEvent("warning", 1, { code: "long", message: "x".repeat(100_000) });
    writeAll(path, [everyKindOfEvent[0]!, long]);
    truncateSync(path, statSync(path).size - kept);
    expect(readEventLog(path)).toEqual([everyKindOfEvent[0]]);
    writeAll(path, [everyKindOfEvent[2]!]);
    expect(readEventLog(path)).toEqual([everyKindOfEvent[0], everyKindOfEvent[2]]);
  }
  writeFileSync(path, '{"type":"run-st');
  writeAll(path, [everyKindOfEvent[2]!]);
  expect(readEventLog(path)).toEqual([everyKindOfEvent[2]]);
});

describe("a disk that takes no more", () => {
  test.skipIf(!existsSync("/dev/full"))("a device that is full: an error that names file, event and cause", () => {
    const log = new EventLogWriter("/dev/full");
    const error = errorOf(() => log.append(everyKindOfEvent[0]!));
    expect(error).toBeInstanceOf(TrainingError);
    expect(error.code).toBe("event-log-write-failed");
    expect(error.message).toMatch(/\/dev\/full did not take the run-start event at step 0: ENOSPC.*Free space/);
    log.close();
  });

  const canLimit = process.platform === "linux" && spawnSync("prlimit", ["--version"]).status === 0;
  test.skipIf(!canLimit)(
    "a line that is taken by half is taken back; when there is room again, more may follow",
    () => {
      const path = newPath();
      const log = new EventLogWriter(path);
      const limit = (bytes: number | "unlimited") =>
        execFileSync("prlimit", ["--pid", String(process.pid), `--fsize=${bytes}:`]);
      log.append(everyKindOfEvent[0]!);
      const { size } = statSync(path);
      let error: TrainingError;
      try {
        limit(size + 50);
        error = errorOf(() => log.append(everyKindOfEvent.find(({ type }) => type === "run-end")!));
      } finally {
        limit("unlimited");
      }
      expect(error.code).toBe("event-log-write-failed");
      expect(error.facts).toMatchObject({ path, type: "run-end", step: 88 });
      expect((error.cause as NodeJS.ErrnoException).code).toBe("EFBIG");
      expect(statSync(path).size).toBe(size);
      log.append(everyKindOfEvent[2]!);
      log.close();
      expect(readEventLog(path)).toEqual([everyKindOfEvent[0], everyKindOfEvent[2]]);
    },
  );
});

describe("files that are no event log", () => {
  test("a line that is no event: its file and line, and the lines after it can be read", () => {
    const path = newPath();
    writeAll(path, everyKindOfEvent.slice(0, 2));
    appendFileSync(path, "not json\n{}\n");
    writeAll(path, everyKindOfEvent.slice(2, 3));
    const reader = new EventLogReader(path);
    expect(reader.read()).toEqual(everyKindOfEvent.slice(0, 2));
    const first = errorOf(() => reader.read());
    expect(first).toBeInstanceOf(DataError);
    expect(first.code).toBe("event-invalid");
    expect(first.facts).toEqual({ path, line: 3 });
    expect(first.message).toContain(`${path}, line 3 is not an event of version 1: it is not JSON`);
    const second = errorOf(() => reader.read());
    expect(second.facts).toEqual({ path, line: 4 });
    expect(reader.read()).toEqual(everyKindOfEvent.slice(2, 3));
    expect(errorOf(() => readEventLog(path)).facts).toEqual({ path, line: 3 });
  });

  test("a missing file", () => {
    const error = errorOf(() => readEventLog(join(folder, "nothing.jsonl")));
    expect(error.code).toBe("event-log-unreadable");
    expect(error.message).toContain("ENOENT");
  });

  test("a file that another run overwrote", () => {
    const path = newPath();
    writeAll(path);
    const reader = new EventLogReader(path);
    reader.read();
    writeFileSync(path, "");
    expect(errorOf(() => reader.read()).code).toBe("event-log-shrunk");
  });

  test("a folder that cannot be made", () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    const error = errorOf(() => new EventLogWriter(join(file, "events.jsonl")));
    expect(error).toBeInstanceOf(TrainingError);
    expect(error.code).toBe("event-log-unavailable");
  });
});
