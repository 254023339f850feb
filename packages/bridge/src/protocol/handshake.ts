import { createRequire } from "node:module";
import { availableParallelism, endianness } from "node:os";
import { z } from "zod";
import { BridgeError } from "../errors.ts";
import type { PythonInformation } from "../reference/reference-types.ts";
import type { Connection } from "./connection.ts";
import { tensorDataTypes } from "./tensor.ts";
import { largestFrame, protocol } from "./wire.ts";

const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };

const helloSchema = z.object({
  protocol: z.number(),
  gradbank_ref: z.string(),
  python: z.string(),
  torch: z.string(),
  sentence_transformers: z.string(),
  transformers: z.string(),
  tokenizers: z.string(),
  numpy: z.string(),
  onnxruntime: z.string(),
  dtypes: z.array(z.string()),
  byte_order: z.string(),
  device: z.string(),
  threads: z.number(),
  largest_frame: z.number(),
  pid: z.number(),
});

/**
 * Says hello to a server, which must come before every other request, and compares what both sides say of themselves.
 * What must agree: the protocol, the versions of gradbank and gradbank-ref, the byte order, and that the server knows
 * our data types. Everything else is told and may differ.
 *
 * @param maxMessageSize bytes of the largest frame that this side accepts
 * @param timeout milliseconds
 * @throws BridgeError "protocol-mismatch" with both values; "malformed-reply"; otherwise as every request
 */
export async function greet(
  connection: Connection,
  {
    maxMessageSize = largestFrame,
    timeout,
  }: { readonly maxMessageSize?: number | undefined; readonly timeout: number },
): Promise<PythonInformation> {
  const ours = {
    gradbank: version,
    byte_order: byteOrder(),
    dtypes: tensorDataTypes,
    device: "cpu",
    threads: availableParallelism(),
    largest_frame: maxMessageSize,
  };
  const { result } = await connection.request("hello", ours, {}, timeout);
  const { data: theirs, error } = helloSchema.safeParse(result);
  if (!theirs) {
    const message = `The server at ${connection.endpoint} greeted in an unknown way: ${z.prettifyError(error)}`;
    throw new BridgeError("malformed-reply", message, { result });
  }
  mustAgree("protocol", theirs.protocol, protocol);
  mustAgree("version of gradbank", theirs.gradbank_ref, version);
  mustAgree("byte order", theirs.byte_order, ours.byte_order);
  for (const dtype of tensorDataTypes)
    if (!theirs.dtypes.includes(dtype))
      mustAgree("list of data types", theirs.dtypes.join(" "), tensorDataTypes.join(" "));
  connection.limitFrames(theirs.largest_frame);
  const { gradbank_ref, sentence_transformers, byte_order, largest_frame, ...others } = theirs;
  return {
    ...others,
    gradbankRef: gradbank_ref,
    sentenceTransformers: sentence_transformers,
    byteOrder: byte_order,
    largestFrame: largest_frame,
  };
}

function mustAgree(what: string, theirs: string | number, ours: string | number): void {
  if (theirs === ours) return;
  throw new BridgeError(
    "protocol-mismatch",
    `The Python server's ${what} is ${theirs}, this side's is ${ours}. Install gradbank and gradbank-ref from the same ` +
      "version, on machines of the same kind.",
    { what, theirs, ours },
  );
}

function byteOrder(): "little" | "big" {
  return endianness() === "LE" ? "little" : "big";
}
