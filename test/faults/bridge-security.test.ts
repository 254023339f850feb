/** Who may connect, and what happens to those who may not. */
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PythonProcess, Reference, writeKeys } from "@gradbank/bridge";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { smallModel } from "../support/small-models.ts";

const handshakeTimeout = 1_500;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-security-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

describe("with keys, over TCP", () => {
  let server: PythonProcess;
  let endpoint: string;
  let keys: { serverKeys: string; clientKeys: string };

  beforeAll(async () => {
    keys = await writeKeys(join(folder, "keys"));
    server = await PythonProcess.start({ endpoint: "tcp://0.0.0.0:*", keys: keys.serverKeys, threads: 1 });
    endpoint = server.endpoint.replace("0.0.0.0", "127.0.0.1");
  });

  afterAll(async () => {
    await server.end();
  });

  const works = async () => {
    const reference = await Reference.connect(endpoint, { keys: keys.clientKeys });
    expect((await reference.echo(5)).value).toBe(5);
    await reference.close();
  };

  it("the right key works", works);

  it("no key, a key that is not allowed, and the key of another server get no answer, and then the right one works", async () => {
    const stranger = await writeKeys(join(folder, "stranger"));
    const own = JSON.parse(await readFile(keys.clientKeys, "utf8"));
    const other = JSON.parse(await readFile(stranger.clientKeys, "utf8"));
    const notAllowed = join(folder, "not-allowed.keys");
    await writeFile(notAllowed, JSON.stringify({ ...other, server: own.server }), { mode: 0o600 });
    const wrongServer = join(folder, "wrong-server.keys");
    await writeFile(wrongServer, JSON.stringify({ ...own, server: other.server }), { mode: 0o600 });
    const attempts = [{}, { keys: notAllowed }, { keys: wrongServer }];
    for (const attempt of attempts)
      await expect(Reference.connect(endpoint, { ...attempt, handshakeTimeout })).rejects.toMatchObject({
        code: "no-answer",
        message: expect.stringMatching(/within 1\.5 s\..*keys of the same pair/),
      });
    await works();
  });

  it("a client with keys gets no answer from a server without", async () => {
    const open = await PythonProcess.start({ endpoint: "tcp://127.0.0.1:*", threads: 1 });
    const attempt = Reference.connect(open.endpoint, { keys: keys.clientKeys, handshakeTimeout });
    await expect(attempt).rejects.toMatchObject({ code: "no-answer" });
    const reference = await Reference.connect(open.endpoint);
    expect((await reference.echo(6)).value).toBe(6);
    await reference.close();
    await open.end();
  });

  it("keys that others may read are refused on both sides", async () => {
    const loose = await writeKeys(join(folder, "loose"));
    await chmod(loose.clientKeys, 0o644);
    await chmod(loose.serverKeys, 0o644);
    await expect(Reference.connect(endpoint, { keys: loose.clientKeys })).rejects.toMatchObject({
      code: "invalid-keys",
    });
    await expect(PythonProcess.start({ endpoint: "tcp://127.0.0.1:*", keys: loose.serverKeys })).rejects.toMatchObject({
      code: "python-start-failed",
      message: expect.stringContaining("mode 0644"),
    });
  });
});

describe("without keys", () => {
  it("other machines are refused on both sides", async () => {
    await expect(Reference.connect("tcp://10.0.0.1:5555")).rejects.toMatchObject({ code: "insecure-endpoint" });
    await expect(PythonProcess.start({ endpoint: "tcp://0.0.0.0:*" })).rejects.toMatchObject({
      code: "python-start-failed",
      message: expect.stringMatching(/can be reached from other machines.*gradbank bridge keys/s),
    });
  });

  it("a port in use is said to be", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as { port: number };
    await expect(PythonProcess.start({ endpoint: `tcp://127.0.0.1:${port}` })).rejects.toMatchObject({
      code: "python-start-failed",
      message: expect.stringContaining(`tcp://127.0.0.1:${port}: another program does already`),
    });
    // What listens there accepts connections but never speaks.
    await expect(Reference.connect(`tcp://127.0.0.1:${port}`, { handshakeTimeout })).rejects.toMatchObject({
      code: "no-answer",
    });
    other.close();
  });
});

describe("two clients of one server", () => {
  it("do not see each other's models, and one leaves without the other", async () => {
    const server = await PythonProcess.start({ endpoint: `ipc://${join(folder, "shared")}`, threads: 1 });
    const [first, second] = await Promise.all([Reference.connect(server.endpoint), Reference.connect(server.endpoint)]);
    const model = await first.loadModel(await smallModel(first, "bert"));
    await expect(second.encode(model, ["a"])).rejects.toMatchObject({
      code: "remote-error",
      facts: { type: "UnknownHandle" },
    });
    expect((await first.encode(model, ["a"])).shape).toEqual([1, model.dimension]);
    await first.close();
    await expect(first.encode(model, ["a"])).rejects.toMatchObject({ code: "connection-lost" });
    expect((await second.echo(1)).value).toBe(1);
    await second.close();
    await server.end();
  });
});
