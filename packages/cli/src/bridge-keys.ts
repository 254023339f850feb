import { writeKeys } from "@gradbank/bridge";
import type { BridgeKeysOptions } from "./bridge-command.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";

/**
 * `gradbank bridge keys`: writes server.keys and client.keys, which only their owner may read, and says where they go.
 *
 * @param writeOut default: this process's standard output
 * @throws BridgeError "keys-exist": nothing is overwritten
 */
export async function writeBridgeKeys(
  { output }: BridgeKeysOptions,
  writeOut: (text: string) => void = (text) => void process.stdout.write(text),
): Promise<ExitCode> {
  const { serverKeys, clientKeys } = await writeKeys(output);
  writeOut(
    `${serverKeys}: for the server. gradbank bridge serve --endpoint tcp://HOST:PORT --keys ${serverKeys}\n` +
      `${clientKeys}: for this side. gradbank parity --connect tcp://HOST:PORT --keys ${clientKeys}\n` +
      "Both hold secrets: copy them over a safe way, with mode 0600, and delete what is not needed where it is.\n",
  );
  return exitCodes.done;
}
