import { EventEmitter, once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Reference } from "@gradbank/bridge";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { serveBridge } from "./bridge-serve.ts";
import { exitCodes } from "./exit-codes.ts";
import { Interruption } from "./interruption.ts";

let folder: string;
let source: EventEmitter;
let interruption: Interruption;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-serve-"));
  source = new EventEmitter();
  interruption = new Interruption({ source });
  interruption.listen();
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

function serve(endpoint: string): { ended: Promise<number>; said: Promise<string> } {
  const output = new EventEmitter();
  const said = once(output, "text").then(([text]) => String(text));
  const writeOut = (text: string) => void output.emit("text", text);
  return { ended: serveBridge({ endpoint, threads: 1 }, { interruption, writeOut }), said };
}

describe("serveBridge", () => {
  it("tells how to connect, serves, and ends in order on Ctrl-C", async () => {
    const { ended, said } = serve("tcp://127.0.0.1:*");
    const text = await said;
    const endpoint = /--connect (?<endpoint>tcp:\/\/127\.0\.0\.1:\d+)/.exec(text)!.groups!.endpoint!;
    const reference = await Reference.connect(endpoint);
    expect((await reference.echo("here")).value).toBe("here");
    await reference.close();
    source.emit("SIGINT", "SIGINT");
    expect(await ended).toBe(exitCodes.done);
    await expect(Reference.connect(endpoint, { handshakeTimeout: 300 })).rejects.toMatchObject({ code: "no-answer" });
  });

  it("ends well when a client shuts the server down, and leaves no socket", async () => {
    const endpoint = `ipc://${join(folder, "socket")}`;
    const { ended, said } = serve(endpoint);
    await said;
    const reference = await Reference.connect(endpoint);
    await reference.server.request("shutdown");
    await reference.close();
    expect(await ended).toBe(exitCodes.done);
    expect(await readdir(folder)).toEqual([]);
  });

  it("fails when the server is killed, or cannot start", async () => {
    const { ended, said } = serve(`ipc://${join(folder, "socket")}`);
    const outcome = expect(ended).rejects.toMatchObject({ code: "connection-lost", facts: { signal: "SIGKILL" } });
    const { pid } = /process (?<pid>\d+)/.exec(await said)!.groups!;
    process.kill(Number(pid), "SIGKILL");
    await outcome;
    const refused = serve("tcp://0.0.0.0:*").ended;
    await expect(refused).rejects.toMatchObject({ code: "python-start-failed" });
    await expect(refused).rejects.toThrow("Its log is above.");
  });
});
