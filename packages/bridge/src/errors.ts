import { GradbankError } from "@gradbank/core";

/**
 * What went wrong between Node and Python.
 *
 * - `reference-missing`: the folder `python-ref` was not found.
 * - `python-missing`: there is no Python interpreter where one was expected.
 * - `python-start-failed`: Python started but its server did not get ready.
 * - `invalid-endpoint`: what is given as an endpoint is none.
 * - `insecure-endpoint`: a TCP endpoint beyond this machine, without keys.
 * - `invalid-keys`: a file of CURVE keys that cannot be read or must not be trusted.
 * - `keys-exist`: new keys would replace others.
 * - `no-answer`: nothing that speaks the protocol, with the right keys, answers at the endpoint.
 * - `protocol-mismatch`: the two sides have different versions, or different layouts of numbers.
 * - `request-timeout`: no reply in time; the server may still be computing.
 * - `remote-error`: the server answered with an exception (`facts.type`, `facts.traceback`).
 * - `connection-lost`: the server ended, or the connection was closed, before it answered.
 * - `malformed-reply`: bytes that do not follow the protocol.
 * - `invalid-tensor`: a tensor whose data and shape disagree.
 * - `report-not-written`: the disk refused a report (`facts.path`).
 * - `invalid-report`: a report that cannot be read, or is of another version (`facts.path`, `facts.version`).
 * - `configuration-differs`: the two sides of a comparison are not set up alike.
 * - `interrupted`: a comparison was stopped before anything was compared.
 * - `message-too-large`: a request with a frame, or more frames, than the server accepts.
 */
export type BridgeErrorCode =
  | "reference-missing"
  | "python-missing"
  | "python-start-failed"
  | "invalid-endpoint"
  | "insecure-endpoint"
  | "invalid-keys"
  | "keys-exist"
  | "no-answer"
  | "protocol-mismatch"
  | "request-timeout"
  | "remote-error"
  | "connection-lost"
  | "malformed-reply"
  | "invalid-tensor"
  | "message-too-large"
  | "report-not-written"
  | "invalid-report"
  | "configuration-differs"
  | "interrupted";

/** The Python reference could not be started or asked: names the method and what Python said. */
export class BridgeError extends GradbankError {
  declare readonly code: BridgeErrorCode;
  constructor(code: BridgeErrorCode, message: string, facts: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(code, message, facts, options);
  }
}
