/** Messages that no client of ours sends: the server answers with an error or not at all, and goes on for everyone. */
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PythonProcess, Reference } from "@gradbank/bridge";
import fc from "fast-check";
import { pack, unpack } from "msgpackr";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Dealer } from "zeromq";

const largest = 2 ** 20;

let folder: string;
let server: PythonProcess;
let reference: Reference;
let raw: Dealer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-messages-"));
  server = await PythonProcess.start({
    endpoint: `ipc://${join(folder, "socket")}`,
    threads: 1,
    maxMessageSize: largest,
  });
  reference = await Reference.connect(server.endpoint);
  raw = new Dealer({ linger: 0, receiveTimeout: 30_000 });
  raw.connect(server.endpoint);
  await raw.send([request("hello", { ...hello })]);
  expect(header(await raw.receive())).toMatchObject({ ok: true });
});

afterAll(async () => {
  raw.close();
  await reference.close();
  await server.end();
  await rm(folder, { recursive: true });
});

const hello = {
  gradbank: "0.0.0",
  byte_order: "little",
  dtypes: [],
  device: "cpu",
  threads: 1,
  largest_frame: largest,
};

function request(method: string, params: object = {}, tensors: unknown = [], id: unknown = 7): Uint8Array {
  return pack({ protocol: 2, id, method, params, tensors });
}

interface ReplyHeader {
  readonly protocol: number;
  readonly id: number | null;
  readonly ok: boolean;
  readonly result?: unknown;
  readonly error?: { readonly type: string; readonly message: string; readonly traceback: string };
}

function header(frames: readonly Uint8Array[]): ReplyHeader {
  return unpack(frames[0]!) as ReplyHeader;
}

const json = fc.jsonValue({ maxDepth: 3 });
const frames = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 4 });
const oddRequests = fc
  .record({
    protocol: fc.oneof({ weight: 8, arbitrary: fc.constant(2) }, json),
    id: fc.oneof({ weight: 4, arbitrary: fc.nat() }, json),
    method: fc.oneof(fc.constantFrom("echo", "set_threads", "release", "lossStep", "encode", "__init__"), json),
    params: fc.oneof(fc.dictionary(fc.string(), json), fc.dictionary(fc.constantFrom("model", "value"), json), json),
    tensors: fc.oneof(
      fc.array(
        fc.record({
          name: fc.oneof(fc.string(), json),
          dtype: fc.oneof(fc.constantFrom("float32", "bool", "int64"), json),
          shape: fc.oneof(fc.array(fc.nat(8), { maxLength: 3 }), json),
        }),
      ),
      json,
    ),
  })
  .map((fields) => Uint8Array.from(pack(fields)));

describe("a server", () => {
  it("answers any message with one reply, and crashes at none", async () => {
    const messages = fc.oneof(
      fc.tuple(fc.uint8Array({ maxLength: 400 }), frames),
      fc.tuple(oddRequests, frames),
      fc
        .tuple(oddRequests, fc.nat(1000), fc.uint8Array({ minLength: 1, maxLength: 4 }), frames)
        .map(([bytes, place, junk, more]): [Uint8Array, Uint8Array[]] => {
          const changed = Uint8Array.from(bytes);
          changed.set(junk.subarray(0, Math.max(0, changed.length - (place % changed.length))), place % changed.length);
          return [changed, more];
        }),
    );
    await fc.assert(
      fc.asyncProperty(messages, async ([first, more]) => {
        await raw.send([first, ...more]);
        const reply = header(await raw.receive());
        expect(reply.protocol).toBe(2);
        expect(typeof reply.ok).toBe("boolean");
        if (!reply.ok) expect(reply.error!.message).toEqual(expect.any(String));
      }),
      { numRuns: 1500 },
    );
    expect((await reference.echo("well")).value).toBe("well");
    await raw.send([request("echo", { value: "well" })]);
    expect(header(await raw.receive()).result).toEqual({ value: "well" });
  });

  it.each([
    ["a truncated frame", { dtype: "float32", shape: [2] }, new Uint8Array(7), "needs 8 bytes; frame 1 has 7"],
    ["a frame with too much", { dtype: "float32", shape: [2] }, new Uint8Array(12), "needs 8 bytes; frame 1 has 12"],
    ["a data type that it does not know", { dtype: "float16", shape: [2] }, new Uint8Array(4), "dtype 'float16'"],
    ["a shape with a hole", { dtype: "uint8", shape: [-1, -1] }, new Uint8Array(1), "shape [-1, -1]"],
  ])("names %s", async (_, specification, frame, message) => {
    await raw.send([request("echo", {}, [{ name: "x", ...specification }]), frame]);
    const reply = header(await raw.receive());
    expect(reply).toMatchObject({ id: 7, ok: false, error: { type: "MalformedMessage" } });
    expect(reply.error!.message).toContain(message);
  });

  it("refuses a tensor of the wrong data type with the method's own words", async () => {
    const model = { dtype: "float32", shape: [1], data: Float32Array.of(1) } as const;
    await expect(reference.server.request("run_onnx", {}, { model })).rejects.toMatchObject({
      code: "remote-error",
      facts: { traceback: expect.stringContaining("operators.py") },
    });
  });

  it("tells the version when a client speaks another protocol", async () => {
    await raw.send([pack({ protocol: 1, id: 1, method: "echo", params: {}, tensors: [] })]);
    expect(header(await raw.receive()).error!.message).toContain("speaks protocol 1; this server speaks 2");
  });

  it("cuts off who sends a frame that is too large, and nobody else", async () => {
    const greedy = new Dealer({ linger: 0, receiveTimeout: 1_000 });
    greedy.connect(server.endpoint);
    const gone = new Promise((resolve) => greedy.events.on("disconnect", resolve));
    await greedy.send([request("hello", hello)]);
    await greedy.receive();
    await greedy.send([
      request("sink", {}, [{ name: "x", dtype: "uint8", shape: [largest + 1] }]),
      new Uint8Array(largest + 1),
    ]);
    await gone;
    greedy.close();
    expect((await reference.echo("well")).value).toBe("well");
    // Our own client says so before it sends.
    const x = { dtype: "uint8", shape: [largest + 1], data: new Uint8Array(largest + 1) } as const;
    await expect(reference.echo(1, { x })).rejects.toMatchObject({
      code: "message-too-large",
      message: expect.stringContaining("--max-message-size"),
    });
  });

  it("does not mind what is no ZeroMQ at all", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 2000 }), async (bytes) => {
        const socket = connect(join(folder, "socket"));
        socket.on("error", () => {});
        await new Promise<void>((resolve) => socket.write(bytes, () => resolve()));
        await sleep(2);
        socket.destroy();
      }),
      { numRuns: 100 },
    );
    expect((await reference.echo("well")).value).toBe("well");
  });
});
