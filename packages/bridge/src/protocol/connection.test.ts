import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
  return pack({ protocol: 1, id, ok: true, result: { id }, tensors: [], ...more });
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
});
