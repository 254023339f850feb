import { createHash, randomBytes } from "node:crypto";
import { createWriteStream } from "node:fs";
import { access, copyFile, mkdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { downloadFile, HubApiError, type ListFileEntry, listFiles, modelInfo } from "@huggingface/hub";
import { GradbankError, ModelFolderError, OptionError } from "../errors.ts";
import { readHubEnvironment } from "./hub-environment.ts";

/** How far a download has come. Sizes in bytes. */
export type DownloadProgress = {
  /** File of the model that is being fetched. */
  readonly file: string;
  /** Bytes of all files of this call that are here by now. */
  readonly loaded: number;
  /** Bytes of all files that this call fetches. */
  readonly total: number;
};

export type ResolveModelFolderOptions = {
  /**
   * Branch, tag or commit of the model's repository.
   * @default "main"
   */
  readonly revision?: string;
  /**
   * Folder of the cache, in the layout that Python's huggingface_hub uses and shares.
   * @default what HF_HUB_CACHE, HF_HOME ... say, else ~/.cache/huggingface/hub
   */
  readonly cacheFolder?: string;
  /**
   * Access token for private and gated models.
   * @default HF_TOKEN, or the token of `hf auth login`
   */
  readonly token?: string;
  /**
   * Address of the hub.
   * @default HF_ENDPOINT, else https://huggingface.co
   */
  readonly endpoint?: string;
  /**
   * Takes files from the cache only and makes no request.
   * @default what HF_HUB_OFFLINE says
   */
  readonly localFilesOnly?: boolean;
  /** Called while files are fetched. */
  readonly onProgress?: (progress: DownloadProgress) => void;
};

/** Everything of a request, settled. */
type Request = {
  readonly id: string;
  readonly revision: string;
  readonly endpoint: string;
  readonly token: string | undefined;
  /** `<cache>/models--<organisation>--<name>` */
  readonly storage: string;
  readonly onProgress: (progress: DownloadProgress) => void;
};

/** Models without an organisation in their name that are not of `sentence-transformers/` (its ORIGINAL_TRANSFORMER_MODELS). */
const plainNames =
  /^(?:bert-(?:base|large)-(?:un)?cased|bert-base-(?:chinese|german-cased|german-dbmdz-(?:un)?cased|multilingual-(?:un)?cased)|distilbert-base-(?:(?:un)?cased|german-cased|multilingual-cased)|distilroberta-base|roberta-(?:base|large)|xlm-roberta-(?:base|large))$/;

const neededFile = /(?:\.(?:json|txt|model|jinja)|(?:^|\/)model(?:-\d+-of-\d+)?\.safetensors)$/;
const unneededFolder = /^(?:onnx|openvino|coreml|rust|tf|flax|\.git[^/]*)\//;
const commit = /^[0-9a-f]{40}$/;

/**
 * Finds the folder of a model: a local folder as it is, anything else as a model of the hub, which is fetched into the
 * cache that Python shares, or found there.
 *
 * Fetched are configurations, tokenizer files and safetensors weights, not ONNX or OpenVINO exports; each file is checked
 * against the hash that the hub gives. When the hub cannot be reached but a copy is cached, that copy is used, with a
 * process warning.
 *
 * @param nameOrPath A folder, "organisation/name", or the name of a model of sentence-transformers ("all-MiniLM-L6-v2").
 * @returns Path of a folder that `readModelFolder` reads.
 * @throws ModelFolderError `missing-folder`, `not-cached`, `hub-denied`, `hub-not-found`, `hub-unreachable`, `hub-failed`,
 *   `no-safetensors`, `damaged-download`, `disk-full`; OptionError `invalid-option` for a token or an address that cannot be.
 */
export async function resolveModelFolder(nameOrPath: string, options: ResolveModelFolderOptions = {}): Promise<string> {
  const found = await stat(nameOrPath).catch(() => undefined);
  if (found?.isDirectory()) return nameOrPath;
  if (found !== undefined || !/^[\w.-]+(?:\/[\w.-]+)?$/.test(nameOrPath) || /^\.\.?\//.test(nameOrPath)) {
    throw new ModelFolderError(
      "missing-folder",
      `${JSON.stringify(nameOrPath)} is ${found === undefined ? "no folder here" : "a file"}, and no name of a model of the hub. Give ` +
        `the path of a model folder (looked for at ${resolve(nameOrPath)}), or "organisation/name".`,
      { given: nameOrPath },
    );
  }
  const environment = readHubEnvironment();
  const id =
    nameOrPath.includes("/") || plainNames.test(nameOrPath) ? nameOrPath : `sentence-transformers/${nameOrPath}`;
  const cacheFolder = resolve(options.cacheFolder ?? environment.cacheFolder);
  const request: Request = {
    id,
    revision: checkedRevision(options.revision ?? "main"),
    endpoint: checkedEndpoint(options.endpoint ?? environment.endpoint),
    token: checkedToken(options.token ?? environment.token),
    storage: join(cacheFolder, `models--${id.replace("/", "--")}`),
    onProgress: options.onProgress ?? (() => {}),
  };
  const cached = await cachedSnapshot(request);
  if (options.localFilesOnly ?? environment.offline) {
    if (cached !== undefined) return cached;
    throw new ModelFolderError(
      "not-cached",
      `The model ${id} (revision ${request.revision}) is not in the cache ${cacheFolder}, and no request may be made ` +
        `(${options.localFilesOnly ? "localFilesOnly" : "HF_HUB_OFFLINE is set"}). Fetch it once with a network, or give the path of a local folder.`,
      { id, revision: request.revision, cacheFolder },
    );
  }
  try {
    return await fetchSnapshot(request);
  } catch (cause) {
    if (!isUnreachable(cause)) throw explained(cause, request);
    if (cached === undefined) throw unreachable(cause, request, cacheFolder);
    process.emitWarning(`The hub at ${request.endpoint} cannot be reached; ${id} is taken from the cache: ${cached}`, {
      code: "GRADBANK_CACHED_MODEL",
    });
    return cached;
  }
}

async function cachedSnapshot({ storage, revision }: Request): Promise<string | undefined> {
  const id = commit.test(revision)
    ? revision
    : await readFile(join(storage, "refs", revision), "utf8").catch(() => undefined);
  if (id === undefined) return undefined;
  const folder = join(storage, "snapshots", id.trim());
  const complete = (await exists(join(folder, "config.json"))) || (await exists(join(folder, "modules.json")));
  return complete ? folder : undefined;
}

async function fetchSnapshot(request: Request): Promise<string> {
  const { id, revision, endpoint, storage } = request;
  const credentials = request.token === undefined ? {} : { accessToken: request.token };
  const { sha } = await modelInfo({ name: id, revision, hubUrl: endpoint, additionalFields: ["sha"], ...credentials });
  const files: ListFileEntry[] = [];
  for await (const entry of listFiles({ repo: id, revision: sha, recursive: true, hubUrl: endpoint, ...credentials })) {
    if (entry.type === "file" && neededFile.test(entry.path) && !unneededFolder.test(entry.path))
      files.push(checkedEntry(entry, request));
  }
  if (!files.some(({ path }) => path.endsWith(".safetensors"))) {
    throw new ModelFolderError(
      "no-safetensors",
      `The model ${id} (revision ${revision}) has no safetensors weights, and no others are read. Convert it with Python: ` +
        `SentenceTransformer("${id}").save_pretrained("converted") from sentence_transformers, and load the folder "converted".`,
      { id, revision },
    );
  }
  const folder = join(storage, "snapshots", sha);
  const missing: ListFileEntry[] = [];
  for (const entry of files) {
    if (!(await exists(join(folder, entry.path)))) missing.push(entry);
  }
  const total = missing.reduce((bytes, { size }) => bytes + size, 0);
  let loaded = 0;
  for (const entry of missing) {
    const blob = join(storage, "blobs", entry.lfs?.oid ?? entry.oid!);
    if (!(await exists(blob))) {
      const before = loaded;
      await fetchBlob(request, sha, entry, blob, (bytes) =>
        request.onProgress({ file: entry.path, loaded: before + bytes, total }),
      );
    }
    loaded += entry.size;
    await link(blob, join(folder, entry.path));
  }
  if (revision !== sha) {
    // Last, so that an offline run never takes a half-fetched commit for the branch.
    await mkdir(dirname(join(storage, "refs", revision)), { recursive: true });
    await writeFile(join(storage, "refs", revision), sha);
  }
  return folder;
}

function checkedEntry(entry: ListFileEntry, { id }: Request): ListFileEntry {
  const hash = entry.lfs?.oid ?? entry.oid;
  const inside = !entry.path.startsWith("/") && !entry.path.split(/[/\\]/).includes("..");
  if (inside && hash !== undefined && /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(hash)) return entry;
  throw new ModelFolderError(
    "hub-failed",
    `The hub lists the file ${JSON.stringify(entry.path)} of ${id} with the hash ${JSON.stringify(hash)}, which is not what a hub ` +
      "sends. Check the endpoint.",
    { id, file: entry.path, hash },
  );
}

async function fetchBlob(
  { id, endpoint, token }: Request,
  revision: string,
  entry: ListFileEntry,
  blob: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const content = await downloadFile({
    repo: id,
    path: entry.path,
    revision,
    hubUrl: endpoint,
    ...(token === undefined ? {} : { accessToken: token }),
  });
  if (content === null) {
    throw new ModelFolderError(
      "hub-failed",
      `The hub lists the file ${entry.path} of ${id}, but does not deliver it. Try again later.`,
      {
        id,
        file: entry.path,
      },
    );
  }
  // Large files carry their SHA-256; the others the hash that git gives to their content.
  const hash = entry.lfs === undefined ? createHash("sha1").update(`blob ${entry.size}\0`) : createHash("sha256");
  const expected = entry.lfs?.oid ?? entry.oid;
  let bytes = 0;
  const count = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      onBytes(bytes);
      done(null, chunk);
    },
  });
  await mkdir(dirname(blob), { recursive: true });
  const incomplete = `${blob}.${randomBytes(6).toString("hex")}.incomplete`;
  try {
    await pipeline(Readable.fromWeb(content.stream() as ReadableStream), count, createWriteStream(incomplete));
    const received = hash.digest("hex");
    if (received !== expected) {
      throw new ModelFolderError(
        "damaged-download",
        `The file ${entry.path} of ${id} arrived damaged: ${bytes} bytes with the hash ${received}, expected ${entry.size} bytes with ` +
          `${expected}. Nothing was kept; try again.`,
        { id, file: entry.path, received, expected, bytes },
      );
    }
    await rename(incomplete, blob);
  } finally {
    await rm(incomplete, { force: true });
  }
}

async function link(blob: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  try {
    await symlink(relative(dirname(path), blob), path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    // Another process was quicker.
    if (code === "EEXIST") return;
    // Windows lets only some users make links; Python's cache holds copies then.
    if (code !== "EPERM") throw cause;
    await copyFile(blob, path);
  }
}

function checkedRevision(revision: string): string {
  if (/^[\w.-]+(?:\/[\w.-]+)*$/.test(revision) && !revision.split("/").includes("..")) return revision;
  throw new OptionError(
    "invalid-option",
    `The revision ${JSON.stringify(revision)} cannot be the name of a branch or tag, or a commit. Leave it out for "main".`,
    { option: "revision", given: revision },
  );
}

function checkedEndpoint(endpoint: string): string {
  if (/^https?:\/\/[^/]/.test(endpoint) && URL.canParse(endpoint)) return endpoint.replace(/\/+$/, "");
  throw new OptionError(
    "invalid-option",
    `The endpoint of the hub (option endpoint, or HF_ENDPOINT) is ${JSON.stringify(endpoint)}, but an address that begins with ` +
      "http:// or https:// was expected.",
    { option: "endpoint", given: endpoint },
  );
}

function checkedToken(token: string | undefined): string | undefined {
  if (token === undefined || token.startsWith("hf_")) return token;
  throw new OptionError(
    "invalid-option",
    'The access token (option token, HF_TOKEN, or `hf auth login`) does not begin with "hf_". Take one from the settings of your account.',
    { option: "token" },
  );
}

function isUnreachable(cause: unknown): boolean {
  if (!(cause instanceof TypeError) && (cause as NodeJS.ErrnoException)?.code?.startsWith("UND_ERR") !== true)
    return false;
  return (cause as Error).message === "fetch failed" || (cause as Error).message === "terminated";
}

function unreachable(cause: unknown, request: Request, cacheFolder: string): ModelFolderError {
  const reason = ((cause as Error).cause as NodeJS.ErrnoException | undefined)?.code ?? (cause as Error).message;
  return new ModelFolderError(
    "hub-unreachable",
    `The model ${request.id} is no local folder, is not in the cache ${cacheFolder}, and the hub at ${request.endpoint} cannot be reached ` +
      `(${reason}). Check the network and HF_ENDPOINT, or give the path of a local model folder.`,
    { id: request.id, endpoint: request.endpoint, cacheFolder, reason },
    { cause },
  );
}

function explained(cause: unknown, { id, revision, endpoint, token, storage }: Request): unknown {
  if (GradbankError.isInstance(cause)) return cause;
  const { code } = cause as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new ModelFolderError(
      "disk-full",
      `There is no room on the disk to fetch ${id} into ${storage} (${code}). Free some space, or set HF_HOME to a folder on another disk.`,
      { id, folder: storage, reason: code },
      { cause },
    );
  }
  if (!(cause instanceof HubApiError)) return cause;
  const status = cause.statusCode;
  const facts = { id, revision, endpoint, status };
  if (status === 401 || status === 403) {
    const next =
      token === undefined
        ? "If the name is right, the model is private or gated: log in with `hf auth login`, or set HF_TOKEN."
        : "The token does not give access to it: check the name, and accept the model's terms on its page if it is gated.";
    return new ModelFolderError(
      "hub-denied",
      `The hub at ${endpoint} refuses ${id}, or does not know it (status ${status}). ${next}`,
      facts,
      {
        cause,
      },
    );
  }
  if (status === 404) {
    return new ModelFolderError(
      "hub-not-found",
      `The hub at ${endpoint} has no model ${id} with the revision ${revision} (status 404), and there is no local folder of that name. ` +
        "Check the spelling.",
      facts,
      { cause },
    );
  }
  return new ModelFolderError(
    "hub-failed",
    `The hub at ${endpoint} answered with status ${status} when asked for ${id}: ${cause.message}. Try again later.`,
    facts,
    { cause },
  );
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
