import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { pack, unpack } from "msgpackr";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Router } from "zeromq";
import { BridgeError } from "../errors.ts";
import { Connection } from "./connection.ts";

let folder: string;
let router: Router;
let connection: Connection;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-connection-"));
  const endpoint = `ipc://${join(folder, "socket")}`;
  router = new Router({ linger: 0 });
  await router.bind(endpoint);
  connection = new Connection(endpoint);
});

afterEach(async () => {
  connection.end(new BridgeError("connection-lost", "The test ended."));
  router.close();
  await rm(folder, { recursive: true });
});

function answer(id: number | null, more: object = {}): Uint8Array {
  return pack({ protocol: 2, id, ok: true, result: { id }, tensors: [], ...more });
}

describe("Connection", () => {
  it("gives every reply to its request, also out of order", async () => {
    const replies = Promise.all(["a", "b", "c"].map((method) => connection.request(method, {}, {}, 5_000)));
    const received: [Uint8Array, number, string][] = [];
    for (let index = 0; index < 3; index++) {
      const [identity, header] = await router.receive();
      const { id, method } = unpack(header!);
      received.push([identity!, id, method]);
    }
    expect(received.map(([, , method]) => method)).toEqual(["a", "b", "c"]);
    for (const [identity, id] of received.toReversed()) await router.send([identity, answer(id)]);
    expect((await replies).map(({ result }) => result.id)).toEqual(received.map(([, id]) => id));
  });

  it("times out, drops the late reply and goes on", async () => {
    const late = connection.request("slow", {}, {}, 50);
    const [identity, header] = await router.receive();
    await expect(late).rejects.toMatchObject({ code: "request-timeout", facts: { method: "slow", timeout: 50 } });
    const next = connection.request("next", {}, {}, 5_000);
    const [, nextHeader] = await router.receive();
    await router.send([identity!, answer(unpack(header!).id)]);
    await router.send([identity!, answer(unpack(nextHeader!).id)]);
    expect((await next).result.id).toBe(unpack(nextHeader!).id);
  });

  it("fails the request whose reply is malformed, and only that", async () => {
    const broken = connection.request("broken", {}, {}, 5_000);
    const whole = connection.request("whole", {}, {}, 5_000);
    const [identity, header] = await router.receive();
    const [, wholeHeader] = await router.receive();
    await router.send([identity!, answer(unpack(header!).id), "a frame too many"]);
    await expect(broken).rejects.toMatchObject({ code: "malformed-reply" });
    await router.send([identity!, answer(unpack(wholeHeader!).id)]);
    expect((await whole).result.id).toBe(unpack(wholeHeader!).id);
  });

  it("fails everything that waits when a reply cannot be told whose it is", async () => {
    const waiting = [connection.request("a", {}, {}, 5_000), connection.request("b", {}, {}, 5_000)];
    const [identity] = await router.receive();
    await router.send([identity!, "junk"]);
    for (const request of waiting) await expect(request).rejects.toMatchObject({ code: "malformed-reply" });

    const error = { type: "MalformedMessage", message: "no header", traceback: "line 1" };
    const refused = connection.request("c", {}, {}, 5_000);
    await router.send([identity!, answer(null, { ok: false, error })]);
    await expect(refused).rejects.toMatchObject({ code: "remote-error", facts: error });
  });

  it("fails what waits and what comes later once it ended", async () => {
    const lost = new BridgeError("connection-lost", "gone");
    const waiting = connection.request("a", {}, {}, 5_000);
    connection.end(lost);
    await expect(waiting).rejects.toBe(lost);
    await expect(connection.request("b", {}, {}, 5_000)).rejects.toBe(lost);
  });

  it("fails what waits when the other side closes, and tells that all is lost", async () => {
    await connection.established(5_000);
    const waiting = connection.request("a", {}, {}, 5_000);
    await router.receive();
    router.close();
    await expect(waiting).rejects.toMatchObject({
      code: "connection-lost",
      message: expect.stringContaining("connect again"),
    });
    await expect(connection.request("b", {}, {}, 5_000)).rejects.toMatchObject({ code: "connection-lost" });
  });

  it("says after the time limit that nothing answers", async () => {
    const nobody = new Connection(`ipc://${join(folder, "nobody")}`);
    await expect(nobody.established(200)).rejects.toMatchObject({
      code: "no-answer",
      message: expect.stringContaining("within 0.2 s. Is a gradbank_ref server listening there"),
    });
    nobody.end(new BridgeError("connection-lost", "The test ended."));
  });

  it.each([
    ["speaks", false, "both none?"],
    ["speaks and hangs up", true, "The last attempt: "],
  ])("gets no handshake from something else that %s", async (_, hangsUp, message) => {
    const other = createServer((socket) => {
      socket.on("error", () => {}).resume();
      socket.write(Buffer.alloc(4096, "HTTP/1.1 400 Bad Request\r\n"), () => hangsUp && socket.destroy());
    });
    const path = join(folder, "other");
    await new Promise<void>((resolve) => other.listen(path, resolve));
    const deaf = new Connection(`ipc://${path}`);
    await expect(deaf.established(500)).rejects.toMatchObject({
      code: "no-answer",
      message: expect.stringContaining(message),
    });
    deaf.end(new BridgeError("connection-lost", "The test ended."));
    await new Promise((resolve) => other.close(resolve));
  });

  it("refuses frames that the server would not take, before they are sent", async () => {
    connection.limitFrames(1024);
    const tensor = (size: number) => ({ dtype: "uint8", shape: [size], data: new Uint8Array(size) }) as const;
    await expect(connection.request("m", {}, { x: tensor(1025) }, 5_000)).rejects.toMatchObject({
      code: "message-too-large",
      message: expect.stringContaining("the largest of 1025 bytes"),
    });
    const accepted = connection.request("m", {}, { x: tensor(1024) }, 5_000);
    const [identity, header] = await router.receive();
    await router.send([identity!, answer(unpack(header!).id)]);
    await accepted;
  });

  it("loses a server that sends a larger frame than it accepts", async () => {
    const careful = new Connection(connection.endpoint, { maxMessageSize: 4096 });
    const waiting = careful.request("m", {}, {}, 5_000);
    const [identity] = await router.receive();
    await router.send([identity!, new Uint8Array(5000)]);
    await expect(waiting).rejects.toMatchObject({
      code: "connection-lost",
      message: expect.stringContaining("larger than maxMessageSize"),
    });
  });

  it("fails requests that random bytes answer, and then goes on", async () => {
    const frames = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 5 });
    const almost = fc
      .tuple(fc.uint8Array({ minLength: 1, maxLength: 8 }), fc.nat(60), frames)
      .map(([bytes, place, more]) => {
        const header = Uint8Array.from(answer(1));
        header.set(bytes.subarray(0, Math.max(0, header.length - place)), Math.min(place, header.length));
        return [header, ...more];
      });
    await fc.assert(
      fc.asyncProperty(fc.oneof(frames, almost), async (junk) => {
        const request = connection.request("m", {}, {}, 5_000);
        const [identity, header] = await router.receive();
        await router.send([identity!, ...junk]);
        await router.send([identity!, answer(unpack(header!).id)]);
        const outcome = await request.then(
          ({ result }) => result.id,
          (error: BridgeError) => error.code,
        );
        expect([unpack(header!).id, "malformed-reply", "protocol-mismatch", "remote-error"]).toContain(outcome);
      }),
      { numRuns: 300 },
    );
    const request = connection.request("m", {}, {}, 5_000);
    const [identity, header] = await router.receive();
    await router.send([identity!, answer(unpack(header!).id)]);
    expect((await request).result.id).toBe(unpack(header!).id);
  });
});
