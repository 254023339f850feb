import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { curveKeyPair } from "zeromq";
import { z } from "zod";
import { BridgeError } from "../errors.ts";

/** CURVE keys of a client, each 40 characters of Z85 (https://rfc.zeromq.org/spec/32). */
export interface ClientKeys {
  /** By which the client knows its server. */
  readonly serverPublicKey: string;
  readonly publicKey: string;
  readonly secretKey: string;
}

const key = z.string().regex(/^[0-9a-zA-Z.\-:+=^!/*?&<>()[\]{}@%$#]{40}$/, "expected 40 characters of Z85");

const clientKeysSchema = z.object({
  version: z.literal(1),
  kind: z.literal("gradbank-client-keys"),
  server: z.object({ public: key }),
  client: z.object({ public: key, secret: key }),
});

/**
 * Makes a key pair for a server and one for a client, and writes `server.keys` and `client.keys`, which only their owner
 * may read. Further clients are let in by adding their public keys to `clients` of server.keys.
 *
 * @param folder is made when missing
 * @returns the two files
 * @throws BridgeError "keys-exist" when one of the files exists: nothing is overwritten
 */
export async function writeKeys(folder: string): Promise<{ serverKeys: string; clientKeys: string }> {
  const [server, client] = [curveKeyPair(), curveKeyPair()];
  const files = { serverKeys: join(folder, "server.keys"), clientKeys: join(folder, "client.keys") };
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeNew(files.serverKeys, {
    version: 1,
    kind: "gradbank-server-keys",
    server: { public: server.publicKey, secret: server.secretKey },
    clients: [client.publicKey],
  });
  try {
    await writeNew(files.clientKeys, {
      version: 1,
      kind: "gradbank-client-keys",
      server: { public: server.publicKey },
      client: { public: client.publicKey, secret: client.secretKey },
    });
  } catch (error) {
    // Without its client's file it is of no use.
    await rm(files.serverKeys);
    throw error;
  }
  return files;
}

/**
 * Reads `client.keys`.
 *
 * @throws BridgeError "invalid-keys" when it cannot be read, holds something else, or others may read it
 */
export async function readClientKeys(path: string): Promise<ClientKeys> {
  let content: unknown;
  let mode: number;
  try {
    mode = (await stat(path)).mode & 0o777;
    content = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw invalid(path, (cause as Error).message, { cause });
  }
  if (process.platform !== "win32" && mode & 0o077) {
    const shown = mode.toString(8).padStart(4, "0");
    throw new BridgeError(
      "invalid-keys",
      `Others may read the keys in ${path} (mode ${shown}). Run: chmod 600 ${path}`,
      { path, mode: shown },
    );
  }
  const { data, error } = clientKeysSchema.safeParse(content);
  if (!data) {
    const { path: field, message } = error.issues[0]!;
    throw invalid(path, `${field.join(".") || "the file"}: ${message}. A client needs client.keys`);
  }
  return { serverPublicKey: data.server.public, publicKey: data.client.public, secretKey: data.client.secret };
}

async function writeNew(path: string, content: object): Promise<void> {
  try {
    await writeFile(path, `${JSON.stringify(content, null, 2)}\n`, { flag: "wx", mode: 0o600 });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
    throw new BridgeError(
      "keys-exist",
      `${path} exists. New keys would lock out whoever uses the old ones: name another folder, or delete its server.keys ` +
        "and client.keys first.",
      { path },
      { cause },
    );
  }
}

function invalid(path: string, what: string, options?: ErrorOptions): BridgeError {
  const message = `The keys in ${path} cannot be used: ${what}. "gradbank bridge keys" makes new ones.`;
  return new BridgeError("invalid-keys", message, { path }, options);
}
