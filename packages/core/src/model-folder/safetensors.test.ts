import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ModelFolderError } from "../errors.ts";
import {
  readSafetensors,
  readSafetensorsHeader,
  readSafetensorsTensor,
  type WritableTensor,
  writeSafetensors,
} from "./safetensors.ts";

const fixtures = join(import.meta.dirname, "__fixtures__");
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "gradbank-safetensors-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A file with the given header text (or bytes) and data. */
function write(header: string | Uint8Array, data: Uint8Array = new Uint8Array(0), headerLength?: bigint): string {
  const text = Buffer.from(header as string);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(headerLength ?? BigInt(text.length));
  const file = join(folder, `${Math.random()}.safetensors`);
  writeFileSync(file, Buffer.concat([prefix, text, data]));
  return file;
}

describe("reading", () => {
  test("reads every data type that the PyPI package wrote", async () => {
    const expected = JSON.parse(readFileSync(join(fixtures, "expected-mixed.json"), "utf8")) as Record<
      string,
      { shape: number[]; values: (number | string)[] }
    >;
    const { tensors, metadata } = await readSafetensors(join(fixtures, "mixed.safetensors"));
    expect(metadata).toEqual({ format: "pt", note: "grün" });
    expect([...tensors.keys()].sort()).toEqual(Object.keys(expected).sort());
    for (const [name, { shape, values }] of Object.entries(expected)) {
      const tensor = tensors.get(name)!;
      expect(tensor.shape, name).toEqual(shape);
      expect(Array.from(tensor.data as Iterable<number | bigint>, Number), name).toEqual(values.map(Number));
    }
    expect(tensors.get("f16")!.data).toBeInstanceOf(Float32Array);
    expect(tensors.get("embeddings.position_ids")!.data).toBeInstanceOf(BigInt64Array);
  });

  test("converts all 65,536 half-precision and bfloat16 numbers by their definition", async () => {
    const bits = Uint16Array.from({ length: 65536 }, (_, index) => index);
    const header =
      '{"h":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]},"b":{"dtype":"BF16","shape":[65536],"data_offsets":[131072,262144]}}';
    const file = write(header, Buffer.concat([Buffer.from(bits.buffer), Buffer.from(bits.buffer)]));
    const { tensors } = await readSafetensors(file);
    const value = (bits: number, exponentBits: number, fractionBits: number): number => {
      const sign = bits & 0x8000 ? -1 : 1;
      const exponent = (bits >> fractionBits) & (2 ** exponentBits - 1);
      const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
      const bias = 2 ** (exponentBits - 1) - 1;
      if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
      return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
    };
    const half = tensors.get("h")!.data;
    const brain = tensors.get("b")!.data;
    for (let index = 0; index < 65536; index++) {
      if (!Object.is(half[index], value(index, 5, 10)))
        expect([index, half[index]]).toEqual([index, value(index, 5, 10)]);
      if (!Object.is(brain[index], value(index, 8, 7)))
        expect([index, brain[index]]).toEqual([index, value(index, 8, 7)]);
    }
  });

  test("reads a single tensor, also where it is not aligned in the file", async () => {
    const data = new Uint8Array(9);
    new DataView(data.buffer).setFloat32(1, -2.75, true);
    new DataView(data.buffer).setFloat32(5, 7.5, true);
    const file = write(
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}',
      data,
    );
    const header = await readSafetensorsHeader(file);
    expect([...((await readSafetensorsTensor(header, "b")).data as Float32Array)]).toEqual([-2.75, 7.5]);
    await expect(readSafetensorsTensor(header, "c")).rejects.toThrow(/no tensor "c".*a, b/s);
  });
});

describe("refusing", () => {
  const one = (fields: string): string => `{"a":${fields}}`;
  const good = '"dtype":"F32","shape":[1],"data_offsets":[0,4]';
  const cases: [string, () => string, RegExp][] = [
    [
      "an empty file",
      () => {
        const file = write("");
        truncateSync(file, 0);
        return file;
      },
      /0 bytes cannot hold/,
    ],
    [
      "a header longer than the file",
      () => write("{}", new Uint8Array(0), 1000n),
      /claims 1000 bytes, but the file has 10/,
    ],
    [
      "a header above 100 MB",
      () => write("{}", new Uint8Array(0), 2n ** 63n),
      /claims 9223372036854775808 bytes, more than/,
    ],
    ["a header that is no JSON", () => write("{oops"), /not JSON in UTF-8/],
    ["a header that is no UTF-8", () => write(Buffer.from([0x7b, 0xff, 0x7d])), /not JSON in UTF-8/],
    ["a header that is a list", () => write("[]"), /no JSON object/],
    ["a tensor that is a number", () => write(one("3")), /tensor "a" is described by/],
    ["metadata that is no text", () => write('{"__metadata__":{"x":1}}'), /value for "x" that is no text/],
    ["a name twice", () => write(`{"a":{${good}},"\\u0061":{${good}}}`, new Uint8Array(4)), /names "a" twice/],
    [
      "an unknown type",
      () => write(one('{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}'), new Uint8Array(4)),
      /tensor "a" has the data type "F8_E4M3"/,
    ],
    [
      "a negative size",
      () => write(one('{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}'), new Uint8Array(4)),
      /shape \[-1\]/,
    ],
    [
      "a fractional size",
      () => write(one('{"dtype":"F32","shape":[0.5,2],"data_offsets":[0,4]}'), new Uint8Array(4)),
      /shape \[0.5,2\]/,
    ],
    [
      "an immense size",
      () =>
        write(
          one('{"dtype":"F32","shape":[9007199254740991,9007199254740991],"data_offsets":[0,4]}'),
          new Uint8Array(4),
        ),
      /should take/,
    ],
    [
      "offsets in the wrong order",
      () => write(one('{"dtype":"F32","shape":[1],"data_offsets":[4,0]}'), new Uint8Array(4)),
      /data_offsets \[4,0\]/,
    ],
    [
      "three offsets",
      () => write(one('{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}'), new Uint8Array(4)),
      /data_offsets/,
    ],
    [
      "data outside the file",
      () => write(one('{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'), new Uint8Array(4)),
      /ends at byte 8 of the data, but the file holds only 4/,
    ],
    [
      "a shape that needs other bytes",
      () => write(one('{"dtype":"F32","shape":[2],"data_offsets":[0,4]}'), new Uint8Array(4)),
      /should take 8 bytes, not 4/,
    ],
    [
      "overlap",
      () => write(`{"a":{${good}},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}`, new Uint8Array(6)),
      /tensor "b" overlaps/,
    ],
    [
      "a gap",
      () => write(`{"a":{${good}},"b":{"dtype":"U8","shape":[1],"data_offsets":[5,6]}}`, new Uint8Array(6)),
      /tensor "b" leaves a gap/,
    ],
    ["data after the last tensor", () => write(one(`{${good}}`), new Uint8Array(5)), /1 bytes at its end/],
  ];
  test.each(cases)("%s", async (_, make, message) => {
    const file = make();
    const error = await readSafetensors(file).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(ModelFolderError);
    expect(error).toMatchObject({ code: "invalid-safetensors", facts: { file } });
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toContain(file);
  });

  test("a missing file is named", async () => {
    await expect(readSafetensors(join(folder, "none"))).rejects.toMatchObject({
      code: "unreadable-file",
      facts: { reason: "ENOENT" },
    });
  });

  test("a file cut after its header was read gives an error, not wrong values", async () => {
    const file = write('{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', new Uint8Array(16));
    const header = await readSafetensorsHeader(file);
    truncateSync(file, 70);
    await expect(readSafetensorsTensor(header, "a")).rejects.toMatchObject({ code: "invalid-safetensors" });
  });

  test("any change of header bytes is either read right or refused by a ModelFolderError", async () => {
    const original = readFileSync(join(fixtures, "mixed.safetensors"));
    const headerEnd = 8 + Number(original.readBigUInt64LE());
    const file = join(folder, "mutated.safetensors");
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(headerEnd - 1), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        fc.option(fc.nat(original.length)),
        async (changes, cut) => {
          const bytes = Buffer.from(original);
          for (const [position, byte] of changes) bytes[position] = byte;
          writeFileSync(file, cut === null ? bytes : bytes.subarray(0, cut));
          try {
            const { tensors } = await readSafetensors(file);
            for (const { shape, data } of tensors.values()) {
              expect(data.length).toBe(shape.reduce((total, size) => total * size, 1));
            }
          } catch (error) {
            if (!(error instanceof ModelFolderError)) throw error;
          }
        },
      ),
      { numRuns: 1500 },
    );
  });
});

describe("writing", () => {
  test("gives the bytes that the PyPI package gives", async () => {
    const expected = join(fixtures, "float32.safetensors");
    const file = join(folder, "float32.safetensors");
    await writeSafetensors(
      file,
      new Map([
        ["é", { shape: [2], data: Float32Array.of(1, 2) }],
        ["Z", { shape: [], data: Float32Array.of(9) }],
        ["nothing", { shape: [2, 0], data: new Float32Array(0) }],
        ["encoder.layer.2.weight", { shape: [1, 1], data: Float32Array.of(-1.25) }],
        ["encoder.layer.10.weight", { shape: [2, 3], data: Float32Array.from({ length: 6 }, (_, index) => index / 7) }],
      ]),
      { format: "pt" },
    );
    expect(readFileSync(file).equals(readFileSync(expected))).toBe(true);
  });

  test("gives the bytes that the PyPI package gives for every type that is written, and reads them back", async () => {
    const tensors = new Map<string, WritableTensor>([
      ["a.u8", { shape: [3], data: Uint8Array.of(3, 255, 0) }],
      ["b.f32", { shape: [2], data: Float32Array.of(1.5, -0) }],
      ["a.f64", { shape: [3, 1], data: Float64Array.of(0.1, -2.5e300, Number.POSITIVE_INFINITY) }],
      ["z.i64", { shape: [2], data: BigInt64Array.of(2n ** 62n, -1n) }],
      ["c.i32", { shape: [1], data: Int32Array.of(-7) }],
      ["a.i64", { shape: [], data: BigInt64Array.of(5n) }],
    ]);
    const file = join(folder, "typed.safetensors");
    await writeSafetensors(file, tensors);
    expect(readFileSync(file).equals(readFileSync(join(fixtures, "typed.safetensors")))).toBe(true);
    const kept = await readSafetensors(file, { keepFloat64: true });
    expect(kept.tensors.size).toBe(tensors.size);
    for (const [name, { shape, data }] of tensors) expect(kept.tensors.get(name), name).toMatchObject({ shape, data });
    const converted = (await readSafetensors(file)).tensors.get("a.f64")!.data;
    expect(converted).toEqual(Float32Array.of(0.1, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY));
  });

  test("what is written is read back, whatever the names, shapes and values", async () => {
    const tensor = fc
      .array(fc.nat(4), { maxLength: 3 })
      .chain((shape) =>
        fc
          .float32Array({ minLength: shape.reduce((a, b) => a * b, 1), maxLength: shape.reduce((a, b) => a * b, 1) })
          .map((data) => ({ shape, data })),
      );
    const file = join(folder, "round-trip.safetensors");
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.tuple(fc.string({ unit: "grapheme" }), tensor), { selector: ([name]) => name, maxLength: 6 }),
        async (entries) => {
          const written = new Map(entries.filter(([name]) => name !== "__metadata__"));
          await writeSafetensors(file, written, { format: "pt" });
          const { tensors } = await readSafetensors(file);
          expect(tensors.size).toBe(written.size);
          for (const [name, { shape, data }] of written) {
            expect(tensors.get(name)!.shape).toEqual(shape);
            expect(tensors.get(name)!.data).toEqual(data);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test("writes a view into a larger buffer as the view's values only", async () => {
    const file = join(folder, "view.safetensors");
    await writeSafetensors(file, new Map([["a", { shape: [2], data: Float32Array.of(1, 2, 3, 4).subarray(1, 3) }]]));
    expect([...((await readSafetensors(file)).tensors.get("a")!.data as Float32Array)]).toEqual([2, 3]);
  });

  test("refuses a shape that does not fit", async () => {
    await expect(
      writeSafetensors(join(folder, "bad.safetensors"), new Map([["a", { shape: [3], data: new Float32Array(2) }]])),
    ).rejects.toMatchObject({ code: "invalid-tensor", facts: { tensor: "a" } });
  });
});
