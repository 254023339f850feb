import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readClientKeys, writeKeys } from "./keys.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-keys-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

describe("writeKeys", () => {
  it("writes two files that belong together and only their owner may read", async () => {
    const { serverKeys, clientKeys } = await writeKeys(join(folder, "new", "keys"));
    const [server, client] = await Promise.all(
      [serverKeys, clientKeys].map(async (path) => JSON.parse(await readFile(path, "utf8"))),
    );
    for (const path of [serverKeys, clientKeys]) expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(server.clients).toEqual([client.client.public]);
    expect(client.server.public).toBe(server.server.public);
    const keys = [server.server.public, server.server.secret, client.client.public, client.client.secret];
    expect(new Set(keys).size).toBe(4);
    expect(await readClientKeys(clientKeys)).toEqual({
      serverPublicKey: server.server.public,
      publicKey: client.client.public,
      secretKey: client.client.secret,
    });
  });

  it("never overwrites, and leaves no half of a pair", async () => {
    const { clientKeys, serverKeys } = await writeKeys(folder);
    const before = await readFile(clientKeys, "utf8");
    await expect(writeKeys(folder)).rejects.toMatchObject({ code: "keys-exist", facts: { path: serverKeys } });
    await rm(serverKeys);
    await expect(writeKeys(folder)).rejects.toMatchObject({ code: "keys-exist", facts: { path: clientKeys } });
    await expect(stat(serverKeys)).rejects.toMatchObject({ code: "ENOENT" });
    expect(await readFile(clientKeys, "utf8")).toBe(before);
  });
});

describe("readClientKeys", () => {
  it("says what is wrong with the file", async () => {
    const { clientKeys, serverKeys } = await writeKeys(folder);
    const good = await readFile(clientKeys, "utf8");
    const failure = async (path: string, message: string) =>
      expect(readClientKeys(path)).rejects.toMatchObject({
        code: "invalid-keys",
        message: expect.stringContaining(message),
      });
    await failure(join(folder, "missing"), "ENOENT");
    await failure(serverKeys, "A client needs client.keys");
    await writeFile(clientKeys, good.replace(/"secret": ".{40}"/, '"secret": "short"'));
    await failure(clientKeys, "client.secret: expected 40 characters of Z85");
    await writeFile(clientKeys, "{");
    await failure(clientKeys, "JSON");
    await writeFile(clientKeys, good);
    await chmod(clientKeys, 0o640);
    await failure(clientKeys, "mode 0640");
  });
});
