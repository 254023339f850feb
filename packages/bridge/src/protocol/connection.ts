import { Dealer } from "zeromq";
import { BridgeError } from "../errors.ts";
import type { Tensors } from "./tensor.ts";
import { decodeReply, encodeRequest, type Reply } from "./wire.ts";

/** What a method of the Python server answered. */
export interface MethodReply {
  readonly result: Record<string, unknown>;
  readonly tensors: Tensors;
}

interface PendingRequest {
  readonly method: string;
  readonly resolve: (reply: MethodReply) => void;
  readonly reject: (error: BridgeError) => void;
  readonly timer: NodeJS.Timeout;
}

/** Requests and replies over one ZeroMQ socket. The server answers in order, one at a time. */
export class Connection {
  readonly endpoint: string;
  readonly #socket: Dealer;
  readonly #pending = new Map<number, PendingRequest>();
  #nextId = 1;
  #sending: Promise<void> = Promise.resolve();
  #ended: BridgeError | undefined;

  constructor(endpoint: string) {
    this.endpoint = endpoint;
    this.#socket = new Dealer({ linger: 0 });
    this.#socket.connect(endpoint);
    void this.#receive();
  }

  /**
   * Calls a method of the server.
   *
   * @param timeout milliseconds to wait for the reply, the time behind earlier requests included
   * @throws BridgeError "remote-error", "request-timeout", "connection-lost", "malformed-reply" or "invalid-tensor"
   */
  async request(
    method: string,
    parameters: Readonly<Record<string, unknown>>,
    tensors: Tensors,
    timeout: number,
  ): Promise<MethodReply> {
    if (this.#ended) throw this.#ended;
    const id = this.#nextId++;
    const frames = encodeRequest({ id, method, parameters, tensors });
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(
          new BridgeError(
            "request-timeout",
            `Python did not answer "${method}" within ${timeout} ms. It may still be computing: its late reply will be ` +
              "dropped, and later requests wait behind it. Give a longer timeout or close the reference.",
            { method, timeout },
          ),
        );
      }, timeout);
      this.#pending.set(id, { method, resolve, reject, timer });
      // A ZeroMQ socket takes one send at a time.
      this.#sending = this.#sending
        .then(() => this.#socket.send(frames))
        .catch((cause: unknown) =>
          this.#settle(id, (pending) =>
            pending.reject(
              new BridgeError("connection-lost", `"${method}" could not be sent to Python.`, { method }, { cause }),
            ),
          ),
        );
    });
  }

  /** Ends the connection: what waits for a reply, and every later request, fails with `error`. */
  end(error: BridgeError): void {
    this.#ended ??= error;
    this.#failAll(error);
    if (!this.#socket.closed) this.#socket.close();
  }

  async #receive(): Promise<void> {
    try {
      for await (const frames of this.#socket) this.#deliver(frames);
    } catch (cause) {
      this.end(new BridgeError("connection-lost", "The connection to Python broke.", {}, { cause }));
    }
  }

  #deliver(frames: readonly Uint8Array[]): void {
    let reply: Reply;
    try {
      reply = decodeReply(frames);
    } catch (error) {
      if (!(error instanceof BridgeError)) throw error;
      const { id } = error.facts;
      if (typeof id === "number") this.#settle(id, (pending) => pending.reject(error));
      else this.#failAll(error);
      return;
    }
    if (reply.ok) {
      const { id, result, tensors } = reply;
      this.#settle(id, (pending) => pending.resolve({ result, tensors }));
    } else {
      const { id, error } = reply;
      const ids = id === undefined ? [...this.#pending.keys()] : [id];
      for (const one of ids) {
        this.#settle(one, (pending) =>
          pending.reject(
            new BridgeError(
              "remote-error",
              `Python's "${pending.method}" failed with ${error.type}: ${error.message}\n${error.traceback}`,
              { method: pending.method, ...error },
            ),
          ),
        );
      }
    }
  }

  /** A reply to a request that timed out finds nothing to settle and is dropped. */
  #settle(id: number, how: (pending: PendingRequest) => void): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    how(pending);
  }

  #failAll(error: BridgeError): void {
    for (const id of [...this.#pending.keys()]) this.#settle(id, (pending) => pending.reject(error));
  }
}
