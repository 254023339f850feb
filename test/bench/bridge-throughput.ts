/**
 * How fast the bridge moves tensors, against ZeroMQ without it: the same frames between Node and a Python process that
 * knows nothing of gradbank, over ipc. Both ways, in turns, in one message of many tensors.
 *
 * node --import tsx --conditions=@gradbank/source test/bench/bridge-throughput.ts [--rounds N] [--tensors N]
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Reference, type Tensor } from "@gradbank/bridge";
import { OptionError } from "@gradbank/core";
import { Dealer } from "zeromq";
import { findPythonEnvironment } from "../../packages/bridge/src/python/python-environment.ts";
import { describeMachine } from "./machine.ts";
import { say } from "./progress.ts";
import { formatMachine } from "./report.ts";
import { writeResults } from "./results-file.ts";
import { runCommand } from "./run-command.ts";
import { ratioSpread, type Spread, spread } from "./statistics.ts";
import { formatTable } from "./table.ts";

const resultsFile = join(dirname(fileURLToPath(import.meta.url)), "results", "bridge-throughput.json");

/** Elements of one tensor: 16 MiB. */
const elements = 4 * 2 ** 20;
/** Share of the bare speed that the bridge is to reach. */
const goal = 0.5;

/** Answers `[count]` with so many frames, and anything longer with one small frame. Ends with its standard input. */
const barePython = `
import os, sys, threading
import zmq
def watch():
    while os.read(0, 4096):
        pass
    os._exit(0)
threading.Thread(target=watch, daemon=True).start()
socket = zmq.Context().socket(zmq.ROUTER)
socket.bind(sys.argv[1])
print("ready", flush=True)
frame = memoryview(bytearray(int(sys.argv[2])))
while True:
    identity, first, *frames = socket.recv_multipart(copy=False)
    reply = [b"done"] if frames else [b"header"] + [frame] * int(first.bytes)
    socket.send_multipart([identity, *reply], copy=False)
`;

/** Moves the tensors one way; the other way goes next to nothing. */
interface Mover {
  toPython(): Promise<void>;
  toNode(): Promise<void>;
  close(): Promise<void>;
}

class BareMover implements Mover {
  readonly #child: ChildProcess;
  readonly #socket: Dealer;
  readonly #frames: Uint8Array[];

  private constructor(child: ChildProcess, socket: Dealer, frames: Uint8Array[]) {
    this.#child = child;
    this.#socket = socket;
    this.#frames = frames;
  }

  static async start(folder: string, tensor: Float32Array, count: number): Promise<BareMover> {
    const endpoint = `ipc://${join(folder, "bare")}`;
    const { python } = findPythonEnvironment();
    const child = spawn(python, ["-c", barePython, endpoint, String(tensor.byteLength)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const ended = once(child, "exit").then(([code]) => Promise.reject(new Error(`bare Python ended with ${code}`)));
    await Promise.race([once(child.stdout, "data"), ended]);
    ended.catch(() => {});
    const socket = new Dealer({ linger: 0 });
    socket.connect(endpoint);
    return new BareMover(child, socket, Array(count).fill(new Uint8Array(tensor.buffer)));
  }

  async toPython(): Promise<void> {
    await this.#socket.send(["header", ...this.#frames]);
    await this.#socket.receive();
  }

  async toNode(): Promise<void> {
    await this.#socket.send([String(this.#frames.length)]);
    const received = await this.#socket.receive();
    if (received.length !== this.#frames.length + 1) throw new Error(`${received.length} frames arrived`);
  }

  async close(): Promise<void> {
    this.#socket.close();
    this.#child.stdin!.end();
    if (this.#child.exitCode === null) await once(this.#child, "exit");
  }
}

class BridgeMover implements Mover {
  readonly #reference: Reference;
  readonly #tensors: Record<string, Tensor>;

  private constructor(reference: Reference, tensors: Record<string, Tensor>) {
    this.#reference = reference;
    this.#tensors = tensors;
  }

  static async start(data: Float32Array, count: number): Promise<BridgeMover> {
    const tensor: Tensor = { dtype: "float32", shape: [data.length], data };
    const named = Array.from({ length: count }, (_, index) => [`tensor${index}`, tensor] as const);
    return new BridgeMover(await Reference.start(), Object.fromEntries(named));
  }

  get information(): Reference["information"] {
    return this.#reference.information;
  }

  async toPython(): Promise<void> {
    const { result } = await this.#reference.server.request("sink", {}, this.#tensors);
    const sent = Object.values(this.#tensors).reduce((bytes, { data }) => bytes + data.byteLength, 0);
    if (result.bytes !== sent) throw new Error(`${result.bytes} of ${sent} bytes arrived`);
  }

  async toNode(): Promise<void> {
    const count = Object.keys(this.#tensors).length;
    const { tensors } = await this.#reference.server.request("source", { count, elements });
    if (Object.keys(tensors).length !== count) throw new Error(`${Object.keys(tensors).length} tensors arrived`);
  }

  close(): Promise<void> {
    return this.#reference.close();
  }
}

const ways = { toPython: "Node to Python", toNode: "Python to Node" } as const;

/** One way's measurements. */
interface WayResult {
  readonly way: string;
  /** Bytes a second. */
  readonly bare: Spread;
  readonly bridge: Spread;
  /** Speed of the bridge over that of bare ZeroMQ, in the same round. */
  readonly ratio: Spread;
}

async function measure(bare: Mover, bridge: Mover, bytes: number, rounds: number): Promise<WayResult[]> {
  const results: WayResult[] = [];
  for (const way of ["toPython", "toNode"] as const) {
    const speeds = { bare: [] as number[], bridge: [] as number[] };
    const movers = Object.entries({ bare, bridge }) as ["bare" | "bridge", Mover][];
    for (let round = 0; round <= rounds; round++) {
      say(`${ways[way]}: ${round === 0 ? "warm-up" : `round ${round} of ${rounds}`}`);
      // Who goes second finds warmer caches: they take turns.
      for (const [name, mover] of round % 2 ? movers : movers.toReversed()) {
        const begin = performance.now();
        await mover[way]();
        const seconds = (performance.now() - begin) / 1000;
        if (round > 0) speeds[name].push(bytes / seconds);
      }
    }
    results.push({
      way: ways[way],
      bare: spread(speeds.bare),
      bridge: spread(speeds.bridge),
      ratio: ratioSpread(speeds.bridge, speeds.bare),
    });
  }
  return results;
}

function parse(commandLine: readonly string[]): { rounds: number; tensors: number } {
  const { values } = parseArgs({
    args: [...commandLine],
    options: { rounds: { type: "string", default: "9" }, tensors: { type: "string", default: "64" } },
  });
  const [rounds, tensors] = [Number(values.rounds), Number(values.tensors)];
  for (const [option, value] of Object.entries({ rounds, tensors }))
    if (!Number.isInteger(value) || value < 1 || value > 1000)
      throw new OptionError("invalid-option", `--${option} is ${value}; expected a whole number from 1 to 1000.`, {
        option,
      });
  return { rounds, tensors };
}

function format(results: readonly WayResult[]): string {
  const gigabytes = ({ median, min, max }: Spread) =>
    `${(median / 1e9).toFixed(2)} (${(min / 1e9).toFixed(2)} to ${(max / 1e9).toFixed(2)})`;
  const ratio = ({ median, min, max }: Spread) => `${median.toFixed(2)} (${min.toFixed(2)} to ${max.toFixed(2)})`;
  return formatTable([
    ["GB/s, median (least to greatest)", "bare ZeroMQ", "bridge", "ratio"],
    ...results.map((one) => [one.way, gigabytes(one.bare), gigabytes(one.bridge), ratio(one.ratio)]),
  ]);
}

await runCommand(async () => {
  const { rounds, tensors } = parse(process.argv.slice(2));
  const data = Float32Array.from({ length: elements }, (_, index) => index);
  const folder = await mkdtemp(join(tmpdir(), "gradbank-throughput-"));
  const open: Mover[] = [];
  try {
    const bare = await BareMover.start(folder, data, tensors);
    open.push(bare);
    const bridge = await BridgeMover.start(data, tensors);
    open.push(bridge);
    const bytes = tensors * data.byteLength;
    const machine = await describeMachine(bridge.information.threads, bridge.information);
    const results = await measure(bare, bridge, bytes, rounds);
    await writeResults(resultsFile, {
      version: 1,
      date: new Date().toISOString(),
      machine,
      bytes,
      rounds,
      goal,
      results,
    });
    process.stdout.write(`\n${formatMachine(machine)}\n\n${bytes / 1e9} GB in one message of ${tensors} tensors\n`);
    process.stdout.write(`${format(results)}\n\nGoal: a ratio of ${goal}. All numbers: ${resultsFile}\n`);
  } finally {
    for (const mover of open) await mover.close();
    await rm(folder, { recursive: true, force: true });
  }
});
