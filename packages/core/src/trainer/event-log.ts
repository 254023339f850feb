import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, mkdirSync, openSync, readSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { DataError, TrainingError } from "../errors.ts";
import { encodeEvent, type TrainingEvent, type TrainingEventType, trainingEventSchema } from "./events.ts";

const lineFeed = 0x0a;
const chunkBytes = 1 << 16;

/** Frequent events, whose loss in a power cut costs nothing: they are left to the operating system to write. */
const frequentTypes: ReadonlySet<TrainingEventType> = new Set(["step-end", "log"]);

/**
 * Appends events to an events.jsonl, each as one whole line in one write.
 *
 * The file holds whole lines only: a line that the disk did not take whole is taken back, and half a line that an
 * earlier process left is cut off on opening. Events other than step-end and log are on the disk (fdatasync) when
 * `append` returns.
 */
export class EventLogWriter {
  readonly path: string;
  readonly #file: number;
  #isClosed = false;
  /** Set when half a line could not be taken back: nothing may follow it. */
  #brokenBy: unknown;

  /**
   * Opens or creates the file and its folder.
   *
   * @throws TrainingError code "event-log-unavailable" when that is not possible.
   */
  constructor(path: string) {
    this.path = path;
    try {
      mkdirSync(dirname(path), { recursive: true });
      this.#file = openSync(path, "a+");
      cutOffHalfLine(this.#file);
    } catch (cause) {
      throw new TrainingError(
        "event-log-unavailable",
        `The event log ${path} cannot be opened for writing: ${messageOf(cause)}. Choose another outputDir or make this one writable.`,
        { path },
        { cause },
      );
    }
  }

  /**
   * Writes one event.
   *
   * @throws TrainingError code "event-log-write-failed" when the disk does not take the line (it is full, for
   *   example); the file then ends with the line before. "event-log-closed" after `close`.
   */
  append(event: TrainingEvent): void {
    if (this.#isClosed) {
      throw new TrainingError(
        "event-log-closed",
        `The event log ${this.path} is closed; a ${event.type} event at step ${event.step} came after its end.`,
        { path: this.path, type: event.type, step: event.step },
      );
    }
    if (this.#brokenBy !== undefined) throw this.#failure(event, this.#brokenBy);
    const line = Buffer.from(`${encodeEvent(event)}\n`, "utf8");
    let written = 0;
    try {
      // A short write is how a disk says that it has just become full; writing the rest brings out why.
      while (written < line.length) written += writeSync(this.#file, line, written, line.length - written);
      if (!frequentTypes.has(event.type)) this.#flush();
    } catch (cause) {
      if (written > 0 && written < line.length) {
        try {
          ftruncateSync(this.#file, fstatSync(this.#file).size - written);
        } catch {
          this.#brokenBy = cause;
        }
      }
      throw this.#failure(event, cause);
    }
  }

  /** Flushes and closes the file. A second call does nothing. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      this.#flush();
    } finally {
      closeSync(this.#file);
    }
  }

  #flush(): void {
    try {
      fdatasyncSync(this.#file);
    } catch (error) {
      // Pipes and devices have nothing to flush.
      if ((error as NodeJS.ErrnoException).code !== "EINVAL") throw error;
    }
  }

  #failure(event: TrainingEvent, cause: unknown): TrainingError {
    return new TrainingError(
      "event-log-write-failed",
      `The event log ${this.path} did not take the ${event.type} event at step ${event.step}: ${messageOf(cause)}. ` +
        "Free space on that disk or choose an outputDir on another one.",
      { path: this.path, type: event.type, step: event.step },
      { cause },
    );
  }
}

/**
 * Reads an events.jsonl while it grows: every `read` returns the events that were completed since the last one. A last
 * line without its line feed is left for a later call.
 */
export class EventLogReader {
  readonly path: string;
  #offset = 0;
  #lines = 0;
  #pendingBytes = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** Whether the file ended in half a line at the last `read`: its writer is at work, or was stopped there. */
  get endsInHalfLine(): boolean {
    return this.#pendingBytes > 0;
  }

  /**
   * The events completed since the last call, oldest first; none when there is nothing new.
   *
   * @throws DataError code "event-log-unreadable" when the file cannot be opened, "event-log-shrunk" when it has
   *   become shorter than what was read (another run overwrote it), "event-invalid" when the next whole line is no
   *   event of this version: names file and line. A call that has read events before that line returns those; the next
   *   one throws, and the one after it goes on behind the line.
   */
  read(): TrainingEvent[] {
    const bytes = this.#readNewBytes();
    const end = bytes.lastIndexOf(lineFeed) + 1;
    this.#pendingBytes = bytes.length - end;
    const events: TrainingEvent[] = [];
    for (let start = 0; start < end; ) {
      const stop = bytes.indexOf(lineFeed, start);
      const event = parseEvent(bytes.toString("utf8", start, stop), this.path, this.#lines + 1);
      if (event instanceof DataError && events.length > 0) return events;
      this.#offset += stop + 1 - start;
      this.#lines += 1;
      if (event instanceof DataError) throw event;
      events.push(event);
      start = stop + 1;
    }
    return events;
  }

  #readNewBytes(): Buffer {
    let file: number;
    try {
      file = openSync(this.path, "r");
    } catch (cause) {
      throw new DataError(
        "event-log-unreadable",
        `The event log ${this.path} cannot be read: ${messageOf(cause)}. Expected the events.jsonl of a run's output folder.`,
        { path: this.path },
        { cause },
      );
    }
    try {
      const { size } = fstatSync(file);
      if (size < this.#offset) {
        throw new DataError(
          "event-log-shrunk",
          `The event log ${this.path} has ${size} bytes, but ${this.#offset} were read before: another run has overwritten it. Read it with a new reader.`,
          { path: this.path, size, offset: this.#offset },
        );
      }
      const chunks: Buffer[] = [];
      for (let position = this.#offset; ; ) {
        const chunk = Buffer.allocUnsafe(chunkBytes);
        const count = readSync(file, chunk, 0, chunkBytes, position);
        if (count === 0) return Buffer.concat(chunks);
        chunks.push(chunk.subarray(0, count));
        position += count;
      }
    } finally {
      closeSync(file);
    }
  }
}

/** All complete events of an events.jsonl. Throws as `EventLogReader.read` does. */
export function readEventLog(path: string): TrainingEvent[] {
  const reader = new EventLogReader(path);
  const events = reader.read();
  for (let more = reader.read(); more.length > 0; more = reader.read()) events.push(...more);
  return events;
}

function parseEvent(line: string, path: string, lineNumber: number): TrainingEvent | DataError {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    return invalidEvent(path, lineNumber, `it is not JSON: ${messageOf(cause)}`, cause);
  }
  const result = trainingEventSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const field = issue.path.join(".");
  return invalidEvent(path, lineNumber, `${field === "" ? "" : `${field}: `}${issue.message}`, result.error);
}

function invalidEvent(path: string, line: number, reason: string, cause: unknown): DataError {
  return new DataError(
    "event-invalid",
    `${path}, line ${line} is not an event of version 1: ${reason}. A newer gradbank may have written it: update this one.`,
    { path, line },
    { cause },
  );
}

function cutOffHalfLine(file: number): void {
  const status = fstatSync(file);
  if (!status.isFile()) return;
  const chunk = Buffer.allocUnsafe(chunkBytes);
  for (let end = status.size; end > 0; ) {
    const start = Math.max(0, end - chunkBytes);
    const count = readSync(file, chunk, 0, end - start, start);
    const last = chunk.subarray(0, count).lastIndexOf(lineFeed);
    if (last >= 0 || start === 0) {
      const wholeBytes = start + last + 1;
      if (wholeBytes < status.size) ftruncateSync(file, wholeBytes);
      return;
    }
    end = start;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
