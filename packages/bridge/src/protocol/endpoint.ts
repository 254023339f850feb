import { isIPv4 } from "node:net";
import { BridgeError } from "../errors.ts";

/**
 * Refuses what is no ipc or tcp endpoint, and TCP beyond this machine unless CURVE keys protect it.
 *
 * @throws BridgeError "invalid-endpoint" or "insecure-endpoint"
 */
export function checkEndpoint(endpoint: string, hasKeys: boolean): void {
  const { host } = parse(endpoint);
  if (host === undefined || hasKeys || isLoopback(host)) return;
  throw new BridgeError(
    "insecure-endpoint",
    `The endpoint ${endpoint} is on another machine, and there are no keys: anyone on the way could read and change what ` +
      'is sent. Make keys with "gradbank bridge keys", give the server its server.keys and this side client.keys; or ' +
      "reach the other machine through an SSH tunnel to 127.0.0.1.",
    { endpoint },
  );
}

/** The host of a TCP endpoint; undefined for ipc. */
function parse(endpoint: string): { host: string | undefined } {
  if (/^ipc:\/\/./.test(endpoint)) return { host: undefined };
  const tcp = /^tcp:\/\/(?<host>\[[^\]]+\]|[^:[\]]+):(?:\d+|\*)$/.exec(endpoint);
  if (tcp) return { host: tcp.groups!.host! };
  throw new BridgeError(
    "invalid-endpoint",
    `The endpoint is "${endpoint}"; expected ipc://PATH or tcp://HOST:PORT, such as tcp://127.0.0.1:5555.`,
    { endpoint },
  );
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || (isIPv4(host) && host.startsWith("127."));
}
