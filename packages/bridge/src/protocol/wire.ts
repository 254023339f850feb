import { Packr, Unpackr } from "msgpackr";
import { BridgeError } from "../errors.ts";
import { byteLength, isTensorDataType, type Tensor, type Tensors, tensorBytes, tensorFromBytes } from "./tensor.ts";

/** Version of the wire protocol; python-ref's `gradbank_ref.PROTOCOL`. */
export const protocol = 2;

/** Bytes that a frame may have unless the server or the client says otherwise: 4 GiB. */
export const largestFrame = 4 * 2 ** 30;
/** Bytes that a header may have; python-ref's `LARGEST_HEADER`. */
export const largestHeader = 256 * 2 ** 20;
/** Frames that a message may have; python-ref's `MOST_FRAMES`. */
export const mostFrames = 65_536;

/** What a request asks for. Parameters must be plain msgpack-able values; an undefined one is left out. */
export interface Request {
  readonly id: number;
  readonly method: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly tensors: Tensors;
}

/** A decoded reply. `id` is undefined when the server could not read the request's id. */
export type Reply =
  | { readonly id: number; readonly ok: true; readonly result: Record<string, unknown>; readonly tensors: Tensors }
  | { readonly id: number | undefined; readonly ok: false; readonly error: RemoteFailure };

/** An exception of the Python side. */
export interface RemoteFailure {
  readonly type: string;
  readonly message: string;
  readonly traceback: string;
}

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, int64AsType: "number" });

/** The frames of a request: a msgpack header, then one raw little-endian frame a tensor. */
export function encodeRequest({ id, method, parameters, tensors }: Request): Uint8Array[] {
  const names = Object.entries(tensors);
  const header = packr.pack({
    protocol,
    id,
    method,
    params: Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== undefined)),
    tensors: names.map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
  });
  // msgpackr reuses its buffer, and ZeroMQ sends later.
  return [new Uint8Array(header), ...names.map(([name, tensor]) => tensorBytes(name, tensor))];
}

/**
 * Decodes the frames of a reply.
 *
 * @throws BridgeError "malformed-reply" or "protocol-mismatch"; `facts.id` is the request's id where it could be read.
 */
export function decodeReply(frames: readonly Uint8Array[]): Reply {
  const header = decodeHeader(frames);
  if (typeof header.protocol !== "number") throw malformed(undefined, "the header names no protocol");
  if (header.protocol !== protocol) {
    throw new BridgeError(
      "protocol-mismatch",
      `The Python server speaks protocol ${header.protocol}, this bridge speaks ${protocol}. ` +
        "Install gradbank and gradbank-ref from the same version.",
      { id: header.id, theirs: header.protocol, ours: protocol },
    );
  }
  const id = typeof header.id === "number" ? header.id : undefined;
  if (header.ok === false && isRemoteFailure(header.error)) return { id, ok: false, error: header.error };
  if (header.ok !== true || id === undefined || !isRecord(header.result))
    throw malformed(id, "the header is neither a result with an id nor an error");
  return { id, ok: true, result: header.result, tensors: decodeTensors(id, header.tensors, frames.slice(1)) };
}

function decodeHeader(frames: readonly Uint8Array[]): Record<string, unknown> {
  const [frame] = frames;
  if (!frame) throw malformed(undefined, "the message has no frames");
  if (frame.byteLength > largestHeader) throw malformed(undefined, `the header has ${frame.byteLength} bytes`);
  let header: unknown;
  try {
    header = unpackr.unpack(frame);
  } catch (cause) {
    throw malformed(undefined, `frame 0 (${frame.byteLength} bytes) is no msgpack`, cause);
  }
  if (!isRecord(header)) throw malformed(undefined, "frame 0 holds no map");
  return header;
}

function decodeTensors(id: number, specifications: unknown, frames: readonly Uint8Array[]): Tensors {
  if (!Array.isArray(specifications) || specifications.length !== frames.length) {
    const listed = Array.isArray(specifications) ? specifications.length : String(specifications);
    throw malformed(id, `the header lists ${listed} tensors but ${frames.length} frames follow it`);
  }
  if (frames.length >= mostFrames) throw malformed(id, `the message has ${frames.length + 1} frames`);
  const tensors: Record<string, Tensor> = {};
  frames.forEach((frame, index) => {
    const { name, dtype, shape } = (specifications[index] ?? {}) as Record<string, unknown>;
    if (typeof name !== "string" || !isTensorDataType(dtype) || !isShape(shape))
      throw malformed(id, `tensor ${index} is specified by ${JSON.stringify(specifications[index])}`);
    const needed = byteLength(dtype, shape);
    if (needed !== frame.byteLength) {
      throw malformed(
        id,
        `tensor "${name}" of dtype ${dtype} and shape [${shape.join(", ")}] needs ${needed} bytes, ` +
          `frame ${index + 1} has ${frame.byteLength}`,
      );
    }
    tensors[name] = tensorFromBytes(dtype, shape, frame);
  });
  return tensors;
}

function malformed(id: unknown, what: string, cause?: unknown): BridgeError {
  const message = `A reply of the Python server does not follow the protocol: ${what}. Is something else listening there?`;
  return new BridgeError("malformed-reply", message, { id }, { cause });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isShape(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function isRemoteFailure(value: unknown): value is RemoteFailure {
  return isRecord(value) && [value.type, value.message, value.traceback].every((part) => typeof part === "string");
}
