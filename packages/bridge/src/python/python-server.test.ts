import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PythonServer } from "./python-server.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-server-"));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function ends(pid: number): Promise<boolean> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (!isAlive(pid)) return true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return false;
}

async function script(content: string): Promise<string> {
  const path = join(folder, "python");
  await writeFile(path, `#!/bin/sh\n${content}\n`);
  await chmod(path, 0o755);
  return path;
}

describe("PythonServer.start", () => {
  it("says when there is no interpreter", async () => {
    const start = PythonServer.start({ python: join(folder, "nowhere") });
    await expect(start).rejects.toMatchObject({
      code: "python-missing",
      message: expect.stringContaining("npm run setup"),
    });
  });

  it("quotes standard error when Python ends early", async () => {
    const start = PythonServer.start({ python: await script("echo no module named gradbank_ref >&2; exit 3") });
    await expect(start).rejects.toMatchObject({
      code: "python-start-failed",
      message: expect.stringMatching(/ended with exit code 3.*\nno module named gradbank_ref/),
    });
  });

  it("gives up after the start timeout and leaves no process", async () => {
    const python = await script(`echo $$ > "${join(folder, "pid")}"; exec sleep 600`);
    await expect(PythonServer.start({ python, startTimeout: 1_000 })).rejects.toMatchObject({
      code: "python-start-failed",
      message: expect.stringContaining("within 1000 ms"),
    });
    expect(await ends(Number(await readFile(join(folder, "pid"), "utf8")))).toBe(true);
  });

  it("refuses an interpreter that prints something else", async () => {
    const python = await script("echo hello; exec sleep 600");
    await expect(PythonServer.start({ python })).rejects.toMatchObject({
      code: "python-start-failed",
      message: expect.stringContaining('"hello\\n" instead of its ready line'),
    });
  });
});

describe("a running PythonServer", () => {
  it("answers, reports exceptions with their traceback, and ends with close", async () => {
    const server = await PythonServer.start({ threads: 1 });
    expect(server.information).toMatchObject({ protocol: 2, pid: server.pid, threads: 1, gradbankRef: "0.0.0" });
    await expect(server.request("set_threads", { threads: -1 })).rejects.toMatchObject({
      code: "remote-error",
      facts: { type: "InvalidParameters", traceback: expect.stringContaining("process.py") },
      message: expect.stringContaining("threads is -1; expected an integer >= 1"),
    });
    await expect(server.request("no_such_method")).rejects.toMatchObject({ code: "remote-error" });
    await server.close();
    await server.close();
    expect(isAlive(server.pid)).toBe(false);
    await expect(server.request("echo")).rejects.toMatchObject({
      code: "connection-lost",
      message: expect.stringContaining("was closed"),
    });
  });

  it("fails what waits when the server is killed in the middle of a request", async () => {
    vi.stubEnv("TMPDIR", folder);
    const server = await PythonServer.start();
    process.kill(server.pid, "SIGSTOP");
    const waiting = server.request("echo");
    process.kill(server.pid, "SIGKILL");
    await expect(waiting).rejects.toMatchObject({
      code: "connection-lost",
      message: expect.stringContaining("ended by signal SIGKILL"),
      facts: { signal: "SIGKILL" },
    });
    await expect(server.request("echo")).rejects.toMatchObject({ code: "connection-lost" });
    await server.close();
    expect(await readdir(folder)).toEqual([]);
  });

  it("can time out and go on", async () => {
    const server = await PythonServer.start();
    process.kill(server.pid, "SIGSTOP");
    await expect(server.request("echo", {}, {}, 50)).rejects.toMatchObject({ code: "request-timeout" });
    process.kill(server.pid, "SIGCONT");
    expect((await server.request("echo", { value: 3 })).result).toEqual({ value: 3 });
    await server.close();
  });

  it("refuses tensors beyond the size that was agreed, in both directions, and goes on", async () => {
    const server = await PythonServer.start({ maxMessageSize: 4096 });
    const x = { dtype: "uint8", shape: [4097], data: new Uint8Array(4097) } as const;
    await expect(server.request("sink", {}, { x })).rejects.toMatchObject({ code: "message-too-large" });
    await expect(server.request("source", { count: 1, elements: 1025 })).rejects.toMatchObject({
      code: "remote-error",
      message: expect.stringContaining("has 4100 bytes; the client accepts 4096"),
    });
    const { tensors } = await server.request("source", { count: 2, elements: 1024 });
    expect(tensors.tensor1!.data).toEqual(Float32Array.from({ length: 1024 }, (_, index) => index));
    await server.close();
  });

  it("ends when Node is killed, and leaves no temporary folder", async () => {
    const module = fileURLToPath(new URL("./python-server.ts", import.meta.url));
    const content = `
      import { PythonServer } from ${JSON.stringify(module)};
      const server = await PythonServer.start();
      console.log(server.pid);
      await new Promise((resolve) => setTimeout(resolve, 600_000));
    `;
    await writeFile(join(folder, "parent.mts"), content);
    const node = spawn(
      process.execPath,
      ["--conditions", "@gradbank/source", "--import", import.meta.resolve("tsx"), join(folder, "parent.mts")],
      { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, TMPDIR: folder } },
    );
    const early = once(node, "exit").then(([code]) => Promise.reject(new Error(`Node ended with ${code}`)));
    const [line] = await Promise.race([once(node.stdout, "data"), early]);
    const pid = Number(String(line));
    expect(isAlive(pid)).toBe(true);
    early.catch(() => {});
    node.kill("SIGKILL");
    expect(await ends(pid)).toBe(true);
    expect((await readdir(folder)).filter((name) => name.startsWith("gradbank-"))).toEqual([]);
  });
});
