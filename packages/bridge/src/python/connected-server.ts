import { BridgeError } from "../errors.ts";
import { Connection, type MethodReply } from "../protocol/connection.ts";
import { checkEndpoint } from "../protocol/endpoint.ts";
import { greet } from "../protocol/handshake.ts";
import { readClientKeys } from "../protocol/keys.ts";
import type { Tensors } from "../protocol/tensor.ts";
import type { PythonInformation } from "../reference/reference-types.ts";
import type { ReferenceServer } from "./reference-server.ts";

/** How to connect to a server that runs already. */
export interface ConnectOptions {
  /** File client.keys of `gradbank bridge keys`. Default: none; then only ipc and TCP of this machine are allowed. */
  readonly keys?: string;
  /** Milliseconds until a server must answer that it is there; a busy one does too. Default: 10,000. */
  readonly handshakeTimeout?: number;
  /** Milliseconds that a request may take unless it says otherwise, the first greeting included. Default: 300,000. */
  readonly requestTimeout?: number;
  /** Bytes of the largest tensor to accept. Default: 4 GiB. */
  readonly maxMessageSize?: number;
}

/** Milliseconds that a goodbye may take: a busy server frees everything by itself when the connection ends. */
const goodbyeTimeout = 1_000;

/** A connection to a server that someone else started: `python -m gradbank_ref.server` or `gradbank bridge serve`. */
export class ConnectedServer implements ReferenceServer {
  readonly information: PythonInformation;
  readonly #connection: Connection;
  readonly #requestTimeout: number;
  #closed: Promise<void> | undefined;

  private constructor(connection: Connection, information: PythonInformation, requestTimeout: number) {
    this.#connection = connection;
    this.information = information;
    this.#requestTimeout = requestTimeout;
  }

  /**
   * Connects and greets.
   *
   * @param endpoint ipc://PATH or tcp://HOST:PORT
   * @throws BridgeError "invalid-endpoint", "insecure-endpoint", "invalid-keys", "no-answer", "protocol-mismatch" or
   * "request-timeout"
   */
  static async connect(endpoint: string, options: ConnectOptions = {}): Promise<ConnectedServer> {
    const { keys, handshakeTimeout = 10_000, requestTimeout = 300_000, maxMessageSize } = options;
    checkEndpoint(endpoint, keys !== undefined);
    const connection = new Connection(endpoint, {
      ...(keys !== undefined && { keys: await readClientKeys(keys) }),
      ...(maxMessageSize !== undefined && { maxMessageSize }),
    });
    try {
      await connection.established(handshakeTimeout);
      const information = await greet(connection, { maxMessageSize, timeout: requestTimeout });
      return new ConnectedServer(connection, information, requestTimeout);
    } catch (error) {
      connection.end(error instanceof BridgeError ? error : closed());
      throw error;
    }
  }

  request(
    method: string,
    parameters: Readonly<Record<string, unknown>> = {},
    tensors: Tensors = {},
    timeout: number = this.#requestTimeout,
  ): Promise<MethodReply> {
    return this.#connection.request(method, parameters, tensors, timeout);
  }

  /** Says goodbye, so that the server frees what was loaded, and ends the connection. May be called twice. */
  close(): Promise<void> {
    this.#closed ??= this.#leave();
    return this.#closed;
  }

  async #leave(): Promise<void> {
    try {
      await this.request("goodbye", {}, {}, goodbyeTimeout);
    } catch (error) {
      // The server is busy or gone: either way the end of the connection tells it.
      if (!(error instanceof BridgeError)) throw error;
    }
    this.#connection.end(closed());
  }
}

function closed(): BridgeError {
  return new BridgeError("connection-lost", "The connection to Python was closed. Connect again to ask more.");
}
