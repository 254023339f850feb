import { GradbankError } from "@gradbank/core";

/**
 * What went wrong between Node and Python.
 *
 * - `reference-missing`: the folder `python-ref` was not found.
 * - `python-missing`: there is no Python interpreter where one was expected.
 * - `python-start-failed`: Python started but its server did not get ready.
 * - `protocol-mismatch`: the server speaks another version of the protocol.
 * - `request-timeout`: no reply in time; the server may still be computing.
 * - `remote-error`: the server answered with an exception (`facts.type`, `facts.traceback`).
 * - `connection-lost`: the server ended, or the connection was closed, before it answered.
 * - `malformed-reply`: bytes that do not follow the protocol.
 * - `invalid-tensor`: a tensor whose data and shape disagree.
 */
export type BridgeErrorCode =
  | "reference-missing"
  | "python-missing"
  | "python-start-failed"
  | "protocol-mismatch"
  | "request-timeout"
  | "remote-error"
  | "connection-lost"
  | "malformed-reply"
  | "invalid-tensor";

/** The Python reference could not be started or asked: names the method and what Python said. */
export class BridgeError extends GradbankError {
  declare readonly code: BridgeErrorCode;
  constructor(code: BridgeErrorCode, message: string, facts: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(code, message, facts, options);
  }
}
