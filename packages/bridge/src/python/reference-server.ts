import type { MethodReply } from "../protocol/connection.ts";
import type { Tensors } from "../protocol/tensor.ts";

/** A gradbank_ref server, whoever started it. */
export interface ReferenceServer {
  /**
   * Calls a method of the server by its Python name.
   *
   * @param parameters the method's parameters by their Python names; undefined ones are left out
   * @param tensors sent from where they lie: not to be changed before the reply
   * @param timeout milliseconds; default: the `requestTimeout` option
   * @throws BridgeError "remote-error", "request-timeout", "connection-lost", "malformed-reply", "invalid-tensor" or
   * "message-too-large"
   */
  request(
    method: string,
    parameters?: Readonly<Record<string, unknown>>,
    tensors?: Tensors,
    timeout?: number,
  ): Promise<MethodReply>;
  /** Ends the connection, and the process if it was started for it. May be called twice. */
  close(): Promise<void>;
}
