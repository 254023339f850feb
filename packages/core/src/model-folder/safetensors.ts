import { type FileHandle, open } from "node:fs/promises";
import { ModelFolderError } from "../errors.ts";
import { isJsonObject } from "./read-json-file.ts";
import { writeFully } from "./write-fully.ts";

/** Data types that are read; floating-point ones become float32, unless float64 is to be kept. */
export type SafetensorsDataType = "F64" | "F32" | "F16" | "BF16" | "I64" | "I32" | "U8";

/** Where a tensor lies in a file. */
export type TensorEntry = {
  readonly dtype: SafetensorsDataType;
  readonly shape: readonly number[];
  /** First byte, counted from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
};

/** A tensor's values: float32 for F64 (unless it is kept), F32, F16 and BF16, their own type for I64, I32 and U8. */
export type TensorData =
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>;

export type SafetensorsTensor = {
  readonly dtype: SafetensorsDataType;
  readonly shape: readonly number[];
  readonly data: TensorData;
};

/** What the header of a file says. */
export type SafetensorsHeader = {
  readonly file: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
};

const bytesPerValue: Readonly<Record<SafetensorsDataType, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  U8: 1,
};

/** Same limit as the Rust package, which refuses larger headers. */
const longestHeader = 100_000_000;

/** Bytes read at once where values are converted: bounds the memory above the result's own. */
const chunkBytes = 8 * 1024 * 1024;

const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * Reads and checks the header of a safetensors file: no tensor data.
 *
 * The format: the header's length (uint64, little-endian), the header (a JSON object: tensor name -> `dtype`, `shape`,
 * `data_offsets`; `__metadata__` -> texts), then the data. Source: the format section of the safetensors project's README.
 *
 * @param file Path of the file.
 * @returns Entries that are known to lie inside the file, cover it without gap or overlap, and match shape and data type.
 * @throws ModelFolderError `invalid-safetensors`, naming the file and the tensor, or `unreadable-file`.
 */
export async function readSafetensorsHeader(file: string): Promise<SafetensorsHeader> {
  return withFile(file, async (handle) => parseHeader(file, handle));
}

/**
 * Reads one tensor. The file is read piece by piece straight into the result.
 *
 * @param header A header that `readSafetensorsHeader` returned.
 * @param name A name in `header.tensors`.
 * @throws ModelFolderError `missing-tensor` when there is no such tensor, `invalid-safetensors` when the file became shorter.
 */
export async function readSafetensorsTensor(header: SafetensorsHeader, name: string): Promise<SafetensorsTensor> {
  const entry = header.tensors.get(name);
  if (entry === undefined) {
    throw new ModelFolderError(
      "missing-tensor",
      `${header.file} holds no tensor "${name}". It holds ${header.tensors.size} tensors: ` +
        `${[...header.tensors.keys()].slice(0, 5).join(", ")}${header.tensors.size > 5 ? ", ..." : ""}.`,
      { file: header.file, tensor: name },
    );
  }
  return withFile(header.file, async (handle) => readTensor(header.file, handle, name, entry, {}));
}

export type ReadSafetensorsOptions = {
  /** Whether F64 stays float64; otherwise it becomes float32. Default false. */
  readonly keepFloat64?: boolean;
};

/**
 * Reads all tensors of a file, one after the other.
 *
 * @param file Path of the file.
 * @throws ModelFolderError `invalid-safetensors` or `unreadable-file`.
 */
export async function readSafetensors(
  file: string,
  options: ReadSafetensorsOptions = {},
): Promise<{
  readonly tensors: Map<string, SafetensorsTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}> {
  return withFile(file, async (handle) => {
    const header = await parseHeader(file, handle);
    const tensors = new Map<string, SafetensorsTensor>();
    for (const [name, entry] of header.tensors) tensors.set(name, await readTensor(file, handle, name, entry, options));
    return { tensors, metadata: header.metadata };
  });
}

/** A float32 tensor to be written. */
export type Float32Tensor = { readonly shape: readonly number[]; readonly data: Float32Array };

/** A tensor to be written; its array says its data type. */
export type WritableTensor = {
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array | BigInt64Array | Int32Array | Uint8Array;
};

/** The widest types first, so that each tensor starts at a multiple of its element size. */
const writtenTypes = [
  ["I64", BigInt64Array],
  ["F64", Float64Array],
  ["F32", Float32Array],
  ["I32", Int32Array],
  ["U8", Uint8Array],
] as const;

/**
 * Writes tensors: byte for byte what the PyPI package writes for the same tensors (sorted by data type, then by name, header
 * padded with blanks to 8 bytes).
 *
 * @param file Path of the file; overwritten when it exists.
 * @param tensors Tensors by name.
 * @param metadata Texts for `__metadata__`; Python's transformers asks for `{ format: "pt" }`.
 * @throws ModelFolderError `invalid-tensor` when a shape does not fit its values.
 */
export async function writeSafetensors(
  file: string,
  tensors: ReadonlyMap<string, WritableTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const typeOf = ({ data }: WritableTensor) => writtenTypes.findIndex(([, array]) => data instanceof array);
  const sorted = [...tensors].sort(
    ([a, left], [b, right]) => typeOf(left) - typeOf(right) || Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
  const entries: string[] = [];
  if (Object.keys(metadata).length > 0) entries.push(`"__metadata__":${JSON.stringify(metadata)}`);
  let offset = 0;
  for (const [name, tensor] of sorted) {
    const { shape, data } = tensor;
    if (
      name === "__metadata__" ||
      shape.some((size) => !Number.isSafeInteger(size) || size < 0) ||
      product(shape) !== data.length
    ) {
      throw new ModelFolderError(
        "invalid-tensor",
        `Tensor "${name}" of shape [${shape.join(", ")}] with ${data.length} values cannot be written to ${file}: ` +
          "the shape's product must equal the number of values, and no tensor may be called __metadata__.",
        { file, tensor: name, shape, values: data.length },
      );
    }
    const end = offset + data.byteLength;
    entries.push(
      `${JSON.stringify(name)}:{"dtype":"${writtenTypes[typeOf(tensor)]![0]}","shape":${JSON.stringify(shape)},"data_offsets":[${offset},${end}]}`,
    );
    offset = end;
  }
  const text = Buffer.from(`{${entries.join(",")}}`);
  const header = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, " ");
  header.writeBigUInt64LE(BigInt(header.length - 8));
  text.copy(header, 8);

  const handle = await open(file, "w");
  try {
    await writeFully(handle, header);
    for (const [, { data }] of sorted) {
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      await writeFully(handle, littleEndian ? bytes : swapped(bytes, data.BYTES_PER_ELEMENT));
    }
  } finally {
    await handle.close();
  }
}

/** A copy with the bytes of each element in the other order. */
function swapped(bytes: Uint8Array, width: number): Uint8Array {
  const copy = Buffer.from(bytes);
  if (width === 4) copy.swap32();
  if (width === 8) copy.swap64();
  return copy;
}

async function withFile<T>(file: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  let handle: FileHandle;
  try {
    handle = await open(file, "r");
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new ModelFolderError(
      "unreadable-file",
      `${file} cannot be opened (${reason}). Check that it exists and that this user may read it.`,
      { file, reason },
      { cause },
    );
  }
  try {
    return await use(handle);
  } finally {
    await handle.close();
  }
}

async function parseHeader(file: string, handle: FileHandle): Promise<SafetensorsHeader> {
  const { size: fileLength } = await handle.stat();
  const invalid = (what: string, tensor?: string): ModelFolderError =>
    new ModelFolderError(
      "invalid-safetensors",
      `${file} is not a valid safetensors file: ${tensor === undefined ? "" : `tensor "${tensor}" `}${what}. ` +
        "It may be cut short or altered; fetch or save it again.",
      { file, tensor, fileLength },
    );
  if (fileLength < 8) throw invalid(`${fileLength} bytes cannot hold the header's length (8 bytes)`);
  const prefix = new Uint8Array(8);
  await readFully(file, handle, prefix, 0);
  const headerLength = new DataView(prefix.buffer).getBigUint64(0, true);
  if (headerLength > BigInt(longestHeader))
    throw invalid(`its header claims ${headerLength} bytes, more than ${longestHeader}`);
  const start = 8 + Number(headerLength);
  if (start > fileLength) throw invalid(`its header claims ${headerLength} bytes, but the file has ${fileLength}`);
  const bytes = new Uint8Array(Number(headerLength));
  await readFully(file, handle, bytes, 8);
  const { content, repeated } = parseHeaderJson(bytes, invalid);
  if (repeated !== undefined) throw invalid(`its header names "${repeated}" twice`);

  const metadata: Record<string, string> = {};
  const entries: [string, TensorEntry][] = [];
  for (const [name, value] of content) {
    if (name === "__metadata__") {
      if (!isJsonObject(value)) throw invalid("its __metadata__ is no JSON object");
      for (const [key, text] of Object.entries(value)) {
        if (typeof text !== "string") throw invalid(`its __metadata__ holds a value for "${key}" that is no text`);
        metadata[key] = text;
      }
      continue;
    }
    entries.push([name, tensorEntry(name, value, start, fileLength, invalid)]);
  }

  let position = start;
  for (const [name, entry] of [...entries].sort(([, a], [, b]) => a.offset - b.offset || a.byteLength - b.byteLength)) {
    if (entry.offset !== position) {
      const problem = entry.offset < position ? "overlaps the tensor before it" : "leaves a gap before it";
      throw invalid(
        `${problem}: it starts at byte ${entry.offset - start} of the data, expected ${position - start}`,
        name,
      );
    }
    position += entry.byteLength;
  }
  if (position !== fileLength) throw invalid(`${fileLength - position} bytes at its end belong to no tensor`);
  return { file, tensors: new Map(entries), metadata };
}

function tensorEntry(
  name: string,
  value: unknown,
  start: number,
  fileLength: number,
  invalid: (what: string, tensor?: string) => ModelFolderError,
): TensorEntry {
  if (!isJsonObject(value)) throw invalid("is described by something that is no JSON object", name);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string" || !Object.hasOwn(bytesPerValue, dtype)) {
    throw invalid(
      `has the data type ${JSON.stringify(dtype)}; supported are ${Object.keys(bytesPerValue).join(", ")}`,
      name,
    );
  }
  const type = dtype as SafetensorsDataType;
  if (!isSizes(shape))
    throw invalid(`has the shape ${JSON.stringify(shape)}; expected a list of whole numbers from 0`, name);
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw invalid(
      `has the data_offsets ${JSON.stringify(offsets)}; expected two whole numbers, the second not below the first`,
      name,
    );
  }
  const byteLength = offsets[1]! - offsets[0]!;
  if (start + offsets[1]! > fileLength) {
    throw invalid(`ends at byte ${offsets[1]} of the data, but the file holds only ${fileLength - start}`, name);
  }
  if (product(shape) * bytesPerValue[type] !== byteLength) {
    throw invalid(
      `of shape [${shape.join(", ")}] and type ${type} should take ${product(shape) * bytesPerValue[type]} bytes, not ${byteLength}`,
      name,
    );
  }
  return { dtype: type, shape, offset: start + offsets[0]!, byteLength };
}

/** The header's entries in their order; JSON.parse alone would let a repeated name pass. */
function parseHeaderJson(
  bytes: Uint8Array,
  invalid: (what: string) => ModelFolderError,
): { content: [string, unknown][]; repeated: string | undefined } {
  let text: string;
  let parsed: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    parsed = JSON.parse(text);
  } catch (cause) {
    throw Object.assign(invalid(`its header is not JSON in UTF-8 (${(cause as Error).message})`), { cause });
  }
  if (!isJsonObject(parsed)) throw invalid("its header is no JSON object");
  const repeated = repeatedName(text);
  return { content: Object.entries(parsed), repeated };
}

/** First name that stands twice in the outermost object of valid JSON. */
function repeatedName(json: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  let position = 0;
  while (position < json.length) {
    const character = json[position];
    if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") depth--;
    else if (character === '"') {
      const start = position;
      for (position++; json[position] !== '"'; position++) if (json[position] === "\\") position++;
      if (depth === 1 && /^\s*:/.test(json.slice(position + 1, position + 64))) {
        const name = JSON.parse(json.slice(start, position + 1)) as string;
        if (seen.has(name)) return name;
        seen.add(name);
      }
    }
    position++;
  }
  return undefined;
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0 && !Object.is(size, -0));
}

function product(shape: readonly number[]): number {
  return shape.reduce((total, size) => total * size, 1);
}

async function readTensor(
  file: string,
  handle: FileHandle,
  name: string,
  entry: TensorEntry,
  options: ReadSafetensorsOptions,
): Promise<SafetensorsTensor> {
  const { dtype, shape } = entry;
  const count = entry.byteLength / bytesPerValue[dtype];
  try {
    switch (dtype) {
      case "F32":
        return { dtype, shape, data: await readAsIs(file, handle, entry, new Float32Array(count)) };
      case "I32":
        return { dtype, shape, data: await readAsIs(file, handle, entry, new Int32Array(count)) };
      case "I64":
        return { dtype, shape, data: await readAsIs(file, handle, entry, new BigInt64Array(count)) };
      case "U8":
        return { dtype, shape, data: await readAsIs(file, handle, entry, new Uint8Array(count)) };
      case "F64":
        if (options.keepFloat64)
          return { dtype, shape, data: await readAsIs(file, handle, entry, new Float64Array(count)) };
        return { dtype, shape, data: await readConverted(file, handle, entry, count) };
      default:
        return { dtype, shape, data: await readConverted(file, handle, entry, count) };
    }
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new ModelFolderError(
      "invalid-safetensors",
      `${file}: tensor "${name}" of shape [${shape.join(", ")}] is too large for this machine (${cause.message}).`,
      { file, tensor: name, shape },
      { cause },
    );
  }
}

async function readAsIs<T extends TensorData>(
  file: string,
  handle: FileHandle,
  entry: TensorEntry,
  values: T,
): Promise<T> {
  const bytes = new Uint8Array(values.buffer);
  await readFully(file, handle, bytes, entry.offset);
  if (!littleEndian && values.BYTES_PER_ELEMENT === 4) Buffer.from(values.buffer).swap32();
  if (!littleEndian && values.BYTES_PER_ELEMENT === 8) Buffer.from(values.buffer).swap64();
  return values;
}

async function readConverted(
  file: string,
  handle: FileHandle,
  entry: TensorEntry,
  count: number,
): Promise<Float32Array<ArrayBuffer>> {
  const width = bytesPerValue[entry.dtype];
  const values = new Float32Array(count);
  const bits = new Uint32Array(values.buffer);
  const buffer = new Uint8Array(Math.min(chunkBytes, entry.byteLength));
  for (let done = 0; done < count; ) {
    const taken = Math.min(count - done, buffer.length / width);
    const bytes = buffer.subarray(0, taken * width);
    await readFully(file, handle, bytes, entry.offset + done * width);
    const view = new DataView(bytes.buffer, 0, bytes.length);
    for (let index = 0; index < taken; index++) {
      if (entry.dtype === "F64") values[done + index] = view.getFloat64(index * 8, true);
      // A bfloat16 is the upper half of a float32.
      else if (entry.dtype === "BF16") bits[done + index] = view.getUint16(index * 2, true) << 16;
      else bits[done + index] = floatBitsOfHalf(view.getUint16(index * 2, true));
    }
    done += taken;
  }
  return values;
}

/** Bits of the float32 that equals an IEEE 754 half-precision number. */
function floatBitsOfHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // Subnormal: shift the highest set bit of the fraction to the hidden place.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

async function readFully(file: string, handle: FileHandle, target: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < target.length) {
    // One call may not ask for 2 GiB or more.
    const length = Math.min(target.length - done, 1 << 30);
    const { bytesRead } = await handle.read(target, done, length, position + done);
    if (bytesRead === 0) {
      throw new ModelFolderError(
        "invalid-safetensors",
        `${file} ends at byte ${position + done}, before the data that its header promises. It was cut short; fetch it again.`,
        { file, position: position + done },
      );
    }
    done += bytesRead;
  }
}
