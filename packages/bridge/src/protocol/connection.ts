import { Dealer } from "zeromq";
import { BridgeError } from "../errors.ts";
import type { ClientKeys } from "./keys.ts";
import type { Tensors } from "./tensor.ts";
import { decodeReply, encodeRequest, largestFrame, mostFrames, type Reply } from "./wire.ts";

/** What a method of the Python server answered. */
export interface MethodReply {
  readonly result: Record<string, unknown>;
  readonly tensors: Tensors;
}

/** How a connection is made. */
export interface ConnectionOptions {
  /** CURVE keys. Default: none, nothing is encrypted. */
  readonly keys?: ClientKeys;
  /** Bytes of the largest frame to accept; the connection to a server that sends a larger one breaks. Default: 4 GiB. */
  readonly maxMessageSize?: number;
  /** Is told when the server has gone. Default: the connection ends with that error. */
  readonly onLost?: (error: BridgeError) => void;
}

interface PendingRequest {
  readonly method: string;
  readonly resolve: (reply: MethodReply) => void;
  readonly reject: (error: BridgeError) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Milliseconds between heartbeats, and without a sign of life until the other side counts as dead; as the server's. Not
 * over ipc: the kernel tells at once when a local process ends, and one that is suspended lives.
 */
const heartbeat = { heartbeatInterval: 5_000, heartbeatTimeout: 60_000 };

/** Requests and replies over one ZeroMQ socket. The server answers in order, one at a time. */
export class Connection {
  readonly endpoint: string;
  readonly #socket: Dealer;
  readonly #pending = new Map<number, PendingRequest>();
  readonly #handshake: Promise<void>;
  #handshakeFailure = "";
  #nextId = 1;
  #sending: Promise<void> = Promise.resolve();
  #ended: BridgeError | undefined;
  #largestFrame = largestFrame;

  constructor(endpoint: string, options: ConnectionOptions = {}) {
    const { keys, maxMessageSize = largestFrame, onLost = (error) => this.end(error) } = options;
    this.endpoint = endpoint;
    this.#socket = new Dealer({
      linger: 0,
      maxMessageSize,
      ...(endpoint.startsWith("tcp:") && heartbeat),
      ...(endpoint.startsWith("tcp://[") && { ipv6: true }),
      ...(keys && {
        curveServerKey: keys.serverPublicKey,
        curvePublicKey: keys.publicKey,
        curveSecretKey: keys.secretKey,
      }),
    });
    this.#handshake = this.#watch(onLost);
    this.#socket.connect(endpoint);
    void this.#receive();
  }

  /**
   * Waits until both sockets have agreed to talk: the other side speaks ZeroMQ and the keys fit. A server does so at
   * once, also when it computes.
   *
   * @param timeout milliseconds
   * @throws BridgeError "no-answer"
   */
  async established(timeout: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const failure = this.#handshakeFailure && ` The last attempt: ${this.#handshakeFailure}.`;
        const message =
          `No answer from ${this.endpoint} within ${timeout / 1000} s. Is a gradbank_ref server listening there, and do ` +
          `both sides have keys of the same pair, or both none?${failure}`;
        reject(new BridgeError("no-answer", message, { endpoint: this.endpoint, timeout }));
      }, timeout);
    });
    try {
      await Promise.race([this.#handshake, tooLate]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Frames larger than what the server accepts are refused here: the server would only break the connection. */
  limitFrames(bytes: number): void {
    this.#largestFrame = bytes;
  }

  /**
   * Calls a method of the server.
   *
   * @param tensors sent from where they lie: not to be changed before the reply
   * @param timeout milliseconds to wait for the reply, the time behind earlier requests included
   * @throws BridgeError "remote-error", "request-timeout", "connection-lost", "malformed-reply", "invalid-tensor" or
   * "message-too-large"
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
    this.#checkFrames(method, frames);
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

  /** Resolves with the first handshake; a disconnection after it means that the server, and all it knew, is gone. */
  #watch(onLost: (error: BridgeError) => void): Promise<void> {
    const { events } = this.#socket;
    const failed = ({ error }: { error: Error }) => {
      this.#handshakeFailure = error.message;
    };
    events.on("handshake:error:auth", failed);
    events.on("handshake:error:protocol", failed);
    events.on("handshake:error:other", failed);
    let isEstablished = false;
    events.on("disconnect", () => {
      if (!isEstablished) return;
      const message =
        `The connection to ${this.endpoint} broke: the server ended, or refused what it was sent, or sent a frame ` +
        "larger than maxMessageSize. What it had loaded is gone; connect again.";
      onLost(new BridgeError("connection-lost", message, { endpoint: this.endpoint }));
    });
    return new Promise((resolve) => {
      events.on("handshake", () => {
        isEstablished = true;
        resolve();
      });
    });
  }

  #checkFrames(method: string, frames: readonly Uint8Array[]): void {
    const bytes = Math.max(...frames.map(({ byteLength }) => byteLength));
    if (bytes <= this.#largestFrame && frames.length <= mostFrames) return;
    const message =
      `"${method}" has ${frames.length} frames, the largest of ${bytes} bytes; the server accepts ${mostFrames} frames of ` +
      `up to ${this.#largestFrame} bytes. Send less at once, or start the server with a greater --max-message-size.`;
    throw new BridgeError("message-too-large", message, { method, frames: frames.length, bytes });
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
