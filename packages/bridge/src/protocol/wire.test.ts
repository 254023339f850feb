import fc from "fast-check";
import { pack, unpack } from "msgpackr";
import { describe, expect, it } from "vitest";
import { BridgeError } from "../errors.ts";
import { byteLength, type Tensor, type TensorDataType, tensorFromBytes } from "./tensor.ts";
import { decodeReply, encodeRequest } from "./wire.ts";

const dataTypes: readonly TensorDataType[] = ["float32", "float64", "int32", "int64", "uint8", "bool"];

const tensors = fc
  .record({ dtype: fc.constantFrom(...dataTypes), shape: fc.array(fc.nat(4), { maxLength: 3 }) })
  .chain(({ dtype, shape }) => {
    const size = byteLength(dtype, shape);
    return fc
      .uint8Array({ minLength: size, maxLength: size, max: dtype === "bool" ? 1 : 255 })
      .map((bytes) => tensorFromBytes(dtype, shape, bytes));
  });

function bytesOf({ data }: Tensor): number[] {
  return [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
}

function reply(header: object, ...frames: Uint8Array[]): Uint8Array[] {
  return [pack({ protocol: 2, id: 3, ok: true, result: {}, tensors: [], ...header }), ...frames];
}

function failure(run: () => unknown): BridgeError {
  try {
    run();
  } catch (error) {
    if (error instanceof BridgeError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("encodeRequest and decodeReply", () => {
  it("carry tensors bit by bit, wherever a frame starts in memory", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), tensors, { maxKeys: 4 }), fc.nat(7), (given, offset) => {
        const [header, ...frames] = encodeRequest({ id: 3, method: "echo", parameters: {}, tensors: given });
        const specifications = unpack(header!).tensors;
        const shifted = frames.map((frame) => {
          const memory = new Uint8Array(frame.byteLength + offset);
          memory.set(frame, offset);
          return memory.subarray(offset);
        });
        const decoded = decodeReply(reply({ tensors: specifications }, ...shifted));
        if (!decoded.ok) throw new Error("expected a result");
        expect(Object.keys(decoded.tensors)).toEqual(Object.keys(given));
        for (const [name, tensor] of Object.entries(given)) {
          expect(decoded.tensors[name]!.dtype).toBe(tensor.dtype);
          expect(decoded.tensors[name]!.shape).toEqual(tensor.shape);
          expect(bytesOf(decoded.tensors[name]!)).toEqual(bytesOf(tensor));
        }
      }),
    );
  });

  it("use a frame as it is when it has memory of its own", () => {
    const own = new Uint8Array(new Float64Array([1, 2]).buffer);
    const specification = { name: "x", dtype: "float64", shape: [2] };
    const decoded = decodeReply(reply({ tensors: [specification] }, own));
    if (!decoded.ok) throw new Error("expected a result");
    expect(decoded.tensors.x!.data).toEqual(Float64Array.of(1, 2));
    expect(decoded.tensors.x!.data.buffer).toBe(own.buffer);
  });

  it("refuse more frames than the protocol allows", () => {
    const specifications = Array.from({ length: 65_536 }, (_, index) => ({
      name: `${index}`,
      dtype: "uint8",
      shape: [0],
    }));
    const frames = specifications.map(() => new Uint8Array());
    expect(failure(() => decodeReply(reply({ tensors: specifications }, ...frames))).message).toContain("65537 frames");
    const decoded = decodeReply(reply({ tensors: specifications.slice(1) }, ...frames.slice(1)));
    expect(decoded.ok).toBe(true);
  });

  it("sends only the part of a buffer that a view shows", () => {
    const data = new Float32Array([1, 2, 3, 4]).subarray(1, 3);
    const [, frame] = encodeRequest({
      id: 1,
      method: "echo",
      parameters: {},
      tensors: { x: { dtype: "float32", shape: [2], data } },
    });
    expect(tensorFromBytes("float32", [2], frame!).data).toEqual(Float32Array.of(2, 3));
  });

  it("leaves undefined parameters out and keeps the rest", () => {
    const parameters = { a: undefined, b: null, c: 0.1, d: [1, "x", { e: true }], f: -(2 ** 40) };
    const [header] = encodeRequest({ id: 1, method: "m", parameters, tensors: {} });
    const { a, ...others } = parameters;
    expect(unpack(header!)).toEqual({ protocol: 2, id: 1, method: "m", params: others, tensors: [] });
    expect(a).toBeUndefined();
  });

  it("refuses a tensor whose data and shape disagree", () => {
    const x: Tensor = { dtype: "float32", shape: [2, 3], data: new Float32Array(5) };
    const error = failure(() => encodeRequest({ id: 1, method: "m", parameters: {}, tensors: { x } }));
    expect(error.code).toBe("invalid-tensor");
    expect(error.message).toContain('"x" of dtype float32 and shape [2, 3] needs a Float32Array of 24 bytes');
    expect(error.message).toContain("20 bytes");
    const y = { dtype: "int64", shape: [2], data: new Float64Array(2) } as unknown as Tensor;
    expect(failure(() => encodeRequest({ id: 1, method: "m", parameters: {}, tensors: { y } })).code).toBe(
      "invalid-tensor",
    );
  });

  it.each([
    ["no frames", [], "no frames", undefined],
    ["half a map", [Uint8Array.of(0x82, 0xa1)], "no msgpack", undefined],
    ["no protocol", [pack({})], "names no protocol", undefined],
    ["no map", [pack([1])], "holds no map", undefined],
    ["no id", reply({ id: null }), "neither a result with an id nor an error", undefined],
    ["no result", reply({ result: 3 }), "neither a result with an id nor an error", 3],
    ["a bare error", reply({ ok: false, error: "x" }), "neither a result", 3],
    ["a missing frame", reply({ tensors: [{}] }), "lists 1 tensors but 0 frames follow", 3],
    ["a missing list", reply({ tensors: null }), "lists null tensors", 3],
    ["an unknown dtype", reply({ tensors: [{ name: "x", dtype: "f4", shape: [] }] }, new Uint8Array(4)), '"f4"', 3],
    [
      "a negative size",
      reply({ tensors: [{ name: "x", dtype: "uint8", shape: [-1] }] }, new Uint8Array(4)),
      '"shape":[-1]',
      3,
    ],
    [
      "a short frame",
      reply({ tensors: [{ name: "x", dtype: "float64", shape: [2] }] }, new Uint8Array(12)),
      '"x" of dtype float64 and shape [2] needs 16 bytes, frame 1 has 12',
      3,
    ],
  ])("refuse a reply with %s", (_, frames, message, id) => {
    const error = failure(() => decodeReply(frames));
    expect(error.code).toBe("malformed-reply");
    expect(error.message).toContain(message);
    expect(error.facts.id).toBe(id);
  });

  it("refuse another protocol", () => {
    const error = failure(() => decodeReply(reply({ protocol: 9 })));
    expect(error.code).toBe("protocol-mismatch");
    expect(error.message).toContain("speaks protocol 9, this bridge speaks 2");
  });
});
