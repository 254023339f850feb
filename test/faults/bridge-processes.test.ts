/** What dies in the middle of a step: nothing hangs, nothing is left over, the error says what to do. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PythonProcess, Reference } from "@gradbank/bridge";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

/** Rows of a product that keeps one thread busy for seconds. */
const size = 4000;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-processes-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

function square(size: number) {
  return { dtype: "float64", shape: [size, size], data: new Float64Array(size * size) } as const;
}

function longComputation(reference: Reference) {
  return reference.evaluateOperator("matmul", [square(size), square(size)]);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function secondsUntilEnd(pid: number): Promise<number> {
  const begin = performance.now();
  while (isAlive(pid)) {
    if (performance.now() - begin > 30_000) throw new Error(`process ${pid} did not end within 30 s`);
    await sleep(50);
  }
  return (performance.now() - begin) / 1000;
}

/** A Node process that opens a reference and lets it compute for long; resolves with Python's process id. */
async function computingClient(open: string): Promise<{ node: ChildProcess; pid: number }> {
  const script = join(folder, "client.mts");
  await writeFile(
    script,
    `import { Reference } from ${JSON.stringify(import.meta.resolve("@gradbank/bridge"))};
    const reference = await ${open};
    await reference.setThreads(1);
    const tensor = { dtype: "float64", shape: [${size}, ${size}], data: new Float64Array(${size * size}) };
    const waiting = reference.evaluateOperator("matmul", [tensor, tensor]);
    console.log(reference.information.pid);
    await waiting;`,
  );
  const node = spawn(
    process.execPath,
    ["--conditions", "@gradbank/source", "--import", import.meta.resolve("tsx"), script],
    { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, TMPDIR: folder } },
  );
  const early = once(node, "exit").then(([code]) => Promise.reject(new Error(`the client ended with ${code}`)));
  early.catch(() => {});
  const [line] = await Promise.race([once(node.stdout!, "data"), early]);
  // The request is on its way: Python computes, or receives it.
  await sleep(500);
  return { node, pid: Number(String(line)) };
}

describe("in the middle of a step", () => {
  it("a server that is killed fails what waits, and a new one works", async () => {
    const reference = await Reference.start({ threads: 1 });
    const waiting = longComputation(reference);
    const outcome = expect(waiting).rejects.toMatchObject({ code: "connection-lost", facts: { signal: "SIGKILL" } });
    await sleep(500);
    process.kill(reference.information.pid, "SIGKILL");
    await outcome;
    await expect(reference.echo(1)).rejects.toMatchObject({ code: "connection-lost" });
    await reference.close();
    const next = await Reference.start({ threads: 1 });
    expect((await next.echo(1)).value).toBe(1);
    await next.close();
  });

  it("a server that others started, when it is killed, fails what waits and says to connect again", async () => {
    const endpoint = `ipc://${join(folder, "socket")}`;
    const server = await PythonProcess.start({ endpoint, threads: 1 });
    const reference = await Reference.connect(endpoint);
    const outcome = expect(longComputation(reference)).rejects.toMatchObject({
      code: "connection-lost",
      message: expect.stringContaining("connect again"),
    });
    await sleep(500);
    process.kill(server.pid, "SIGKILL");
    await outcome;
    await reference.close();
    // Its socket is still there, and is replaced.
    expect(existsSync(join(folder, "socket"))).toBe(true);
    const next = await PythonProcess.start({ endpoint, threads: 1 });
    const again = await Reference.connect(endpoint);
    expect((await again.echo(2)).value).toBe(2);
    await again.close();
    await next.end();
  });

  it("a client that is killed takes the server that it started with it", async () => {
    const { node, pid } = await computingClient("Reference.start({ threads: 1 })");
    expect(isAlive(pid)).toBe(true);
    node.kill("SIGKILL");
    expect(await secondsUntilEnd(pid)).toBeLessThan(10);
    expect((await readdir(folder)).filter((name) => name.startsWith("gradbank-"))).toEqual([]);
  });

  it("a client that is killed ends a server that was told to end with its client, and no other", async () => {
    const places = ["ends", "stays"].map((name) => `ipc://${join(folder, name)}`);
    const [ends, stays] = await Promise.all(
      places.map((endpoint, index) => PythonProcess.start({ endpoint, threads: 1, exitWithClient: index === 0 })),
    );
    for (const endpoint of places) {
      const { node } = await computingClient(`Reference.connect(${JSON.stringify(endpoint)})`);
      node.kill("SIGKILL");
    }
    expect(await secondsUntilEnd(ends!.pid)).toBeLessThan(10);
    expect(existsSync(join(folder, "ends"))).toBe(false);
    const reference = await Reference.connect(places[1]!);
    expect((await reference.echo(3)).value).toBe(3);
    await reference.close();
    await stays!.end();
  });

  it("a request that takes too long fails, and the next one works", async () => {
    const reference = await Reference.start({ threads: 1 });
    const tensor = square(2000);
    const tooLong = reference.server.request(
      "evaluate_operator",
      { operator: "matmul", attributes: {} },
      { input0: tensor, input1: tensor },
      50,
    );
    await expect(tooLong).rejects.toMatchObject({ code: "request-timeout", facts: { timeout: 50 } });
    expect((await reference.echo("still there")).value).toBe("still there");
    await reference.close();
  });
});
