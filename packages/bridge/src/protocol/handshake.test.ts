import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pack, unpack } from "msgpackr";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Router } from "zeromq";
import { BridgeError } from "../errors.ts";
import type { PythonInformation } from "../reference/reference-types.ts";
import { Connection } from "./connection.ts";
import { greet } from "./handshake.ts";

const said = {
  protocol: 2,
  gradbank_ref: "0.0.0",
  python: "3.11.9",
  torch: "2.13.0",
  sentence_transformers: "6.2.0",
  transformers: "5.0.0",
  tokenizers: "0.22.0",
  numpy: "2.3.0",
  onnxruntime: "1.30.0",
  dtypes: ["float32", "float64", "int32", "int64", "uint8", "bool", "float16"],
  byte_order: "little",
  device: "cpu",
  threads: 3,
  largest_frame: 2048,
  pid: 12,
};

interface HelloRequest {
  readonly id: number;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

let folder: string;
let router: Router;
let connection: Connection;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-handshake-"));
  router = new Router({ linger: 0 });
  await router.bind(`ipc://${join(folder, "socket")}`);
  connection = new Connection(`ipc://${join(folder, "socket")}`);
});

afterEach(async () => {
  connection.end(new BridgeError("connection-lost", "The test ended."));
  router.close();
  await rm(folder, { recursive: true });
});

/** Greets a server that answers with `result`; also what it was sent. */
async function greeted(
  result: object,
  protocol = 2,
): Promise<{ information: PythonInformation; request: HelloRequest }> {
  const information = greet(connection, { maxMessageSize: 4096, timeout: 5_000 });
  const [identity, header] = await router.receive();
  const request = unpack(header!) as HelloRequest;
  await router.send([identity!, pack({ protocol, id: request.id, ok: true, result, tensors: [] })]);
  return { information: await information, request };
}

describe("greet", () => {
  it("tells who we are and returns who they are", async () => {
    const { information, request } = await greeted(said);
    expect(request).toMatchObject({
      method: "hello",
      params: { gradbank: "0.0.0", byte_order: "little", device: "cpu", largest_frame: 4096 },
    });
    expect(request.params.dtypes).toEqual(["float32", "float64", "int32", "int64", "uint8", "bool"]);
    const { gradbank_ref, sentence_transformers, byte_order, largest_frame, ...others } = said;
    expect(information).toEqual({
      ...others,
      gradbankRef: gradbank_ref,
      sentenceTransformers: sentence_transformers,
      byteOrder: byte_order,
      largestFrame: largest_frame,
    });
    const x = { dtype: "uint8", shape: [2049], data: new Uint8Array(2049) } as const;
    await expect(connection.request("m", {}, { x }, 100)).rejects.toMatchObject({ code: "message-too-large" });
  });

  it.each([
    ["another version", { gradbank_ref: "0.0.1" }, 2, ["0.0.1", "0.0.0"]],
    ["another byte order", { byte_order: "big" }, 2, ["big", "little"]],
    ["fewer data types", { dtypes: ["float32"] }, 2, ["is float32,", "float32 float64"]],
    ["another protocol", {}, 3, ["3", "2"]],
    ["another protocol in its words", { protocol: 3 }, 2, ["3", "2"]],
  ])("stops at %s and shows both values", async (_, change, protocol, values) => {
    const refused = greeted({ ...said, ...change }, protocol);
    await expect(refused).rejects.toMatchObject({ code: "protocol-mismatch" });
    for (const value of values) await expect(refused).rejects.toThrow(value);
  });

  it("refuses a greeting that it does not understand", async () => {
    await expect(greeted({ ...said, torch: undefined })).rejects.toMatchObject({
      code: "malformed-reply",
      message: expect.stringContaining("torch"),
    });
  });
});
