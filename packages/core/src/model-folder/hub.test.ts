import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type DownloadProgress, resolveModelFolder } from "./hub.ts";
import { readHubEnvironment } from "./hub-environment.ts";
import { readModelFolder } from "./read-model-folder.ts";

const saved = join(import.meta.dirname, "__fixtures__", "saved-by-6.2");
const sha = "0123456789abcdef0123456789abcdef01234567";

/** A hub with one model, that speaks what `@huggingface/hub` asks. */
class LocalHub {
  readonly files = new Map<string, Buffer>();
  readonly requests: { readonly url: string; readonly authorization: string | undefined }[] = [];
  id = "organisation/tiny";
  requiredToken: string | undefined;
  status: number | undefined;
  damaged: string | undefined;
  endpoint = "";
  private server: Server | undefined;

  constructor() {
    for (const file of readdirSync(saved, { recursive: true, encoding: "utf8" })) {
      if (lstatSync(join(saved, file)).isFile()) this.files.set(file, readFileSync(join(saved, file)));
    }
    for (const file of [
      "README.md",
      "onnx/model.onnx",
      "onnx/config.json",
      "openvino/openvino_model.bin",
      "pytorch_model.bin",
      ".gitattributes",
    ]) {
      this.files.set(file, Buffer.from(`unneeded ${file}`));
    }
  }

  async start(): Promise<void> {
    this.server = createServer((request, response) => this.answer(request, response));
    await new Promise<void>((done) => this.server!.listen(0, "127.0.0.1", done));
    this.endpoint = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server?.closeAllConnections();
    await new Promise((done) => this.server?.close(done));
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url!, this.endpoint);
    this.requests.push({ url: url.pathname, authorization: request.headers.authorization });
    const refuse = (status: number): void => {
      response
        .writeHead(status, { "Content-Type": "application/json" })
        .end(JSON.stringify({ error: `refused with ${status}` }));
    };
    if (this.status !== undefined) {
      refuse(this.status);
      return;
    }
    if (this.requiredToken !== undefined && request.headers.authorization !== `Bearer ${this.requiredToken}`) {
      refuse(401);
      return;
    }
    if (
      url.pathname === `/api/models/${this.id}/revision/main` ||
      url.pathname === `/api/models/${this.id}/revision/${sha}`
    ) {
      response
        .writeHead(200, { "Content-Type": "application/json" })
        .end(JSON.stringify({ _id: "1", id: this.id, sha, lastModified: "2026-01-01" }));
      return;
    }
    if (url.pathname === `/api/models/${this.id}/tree/${sha}`) {
      const entries = [...this.files].map(([path, bytes]) => {
        const oid = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
        const lfs = { oid: createHash("sha256").update(bytes).digest("hex"), size: bytes.length, pointerSize: 130 };
        return { type: "file", path, size: bytes.length, oid, ...(path.endsWith(".safetensors") ? { lfs } : {}) };
      });
      const folder = { type: "directory", path: "1_Pooling", size: 0, oid: sha };
      response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify([folder, ...entries]));
      return;
    }
    const path = url.pathname.startsWith(`/${this.id}/resolve/${sha}/`)
      ? url.pathname.slice(`/${this.id}/resolve/${sha}/`.length)
      : "";
    const bytes = this.files.get(path);
    if (bytes === undefined) {
      refuse(404);
      return;
    }
    const body =
      path === this.damaged ? Buffer.from(bytes.map((byte, index) => (index === 5 ? byte ^ 1 : byte))) : bytes;
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const first = range === null ? 0 : Number(range[1]);
    const last = range?.[2] ? Math.min(Number(range[2]), body.length - 1) : body.length - 1;
    response
      .writeHead(range === null ? 200 : 206, {
        ETag: `"${createHash("sha1").update(body).digest("hex")}"`,
        "Content-Length": last - first + 1,
        ...(range === null ? {} : { "Content-Range": `bytes ${first}-${last}/${body.length}` }),
      })
      .end(body.subarray(first, last + 1));
  }
}

let hub: LocalHub;
let parent: string;
let cacheFolder: string;
beforeEach(async () => {
  parent = mkdtempSync(join(tmpdir(), "gradbank-hub-"));
  cacheFolder = join(parent, "cache");
  hub = new LocalHub();
  await hub.start();
  for (const name of [
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_ENDPOINT",
    "HF_HUB_CACHE",
    "SENTENCE_TRANSFORMERS_HOME",
  ]) {
    vi.stubEnv(name, undefined);
  }
  vi.stubEnv("HF_HOME", join(parent, "home"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  await hub.stop();
  rmSync(parent, { recursive: true });
});

const storage = (): string => join(cacheFolder, "models--organisation--tiny");
const files = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => !lstatSync(join(folder, file)).isDirectory())
    .sort();
const resolve = (name = hub.id, options = {}): Promise<string> =>
  resolveModelFolder(name, { cacheFolder, endpoint: hub.endpoint, ...options });

describe("a local folder", () => {
  test("is used as it is, without a request", async () => {
    expect(await resolve(saved)).toBe(saved);
    expect(hub.requests).toEqual([]);
  });

  test.each(["./none", "../none", "/none/at/all", "a/b/c", "no such name"])(
    "%j is no folder and no name of the hub",
    async (name) => {
      await expect(resolve(name)).rejects.toMatchObject({ code: "missing-folder", facts: { given: name } });
      expect(hub.requests).toEqual([]);
    },
  );

  test("a file is refused", async () => {
    await expect(resolve(join(saved, "config.json"))).rejects.toThrow(/is a file/);
  });
});

describe("fetching", () => {
  test("fetches what is needed into the layout of Python's cache, and prints nothing", async () => {
    const output = [
      vi.spyOn(console, "log"),
      vi.spyOn(console, "debug"),
      vi.spyOn(console, "info"),
      vi.spyOn(console, "warn"),
    ];
    const progress: DownloadProgress[] = [];
    const folder = await resolve(hub.id, { onProgress: (step: DownloadProgress) => progress.push(step) });
    expect(folder).toBe(join(storage(), "snapshots", sha));
    expect(files(folder)).toEqual(files(saved));
    for (const file of files(saved)) {
      const bytes = readFileSync(join(saved, file));
      expect(readFileSync(join(folder, file)).equals(bytes), file).toBe(true);
      const hash = file.endsWith(".safetensors")
        ? createHash("sha256").update(bytes).digest("hex")
        : createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
      expect(readlinkSync(join(folder, file))).toBe(
        join(
          "..",
          "..",
          ...file
            .split("/")
            .slice(1)
            .map(() => ".."),
          "blobs",
          hash,
        ),
      );
    }
    expect(readFileSync(join(storage(), "refs", "main"), "utf8")).toBe(sha);
    const total = files(saved).reduce((bytes, file) => bytes + lstatSync(join(saved, file)).size, 0);
    expect(progress.at(-1)).toMatchObject({ loaded: total, total });
    for (const spy of output) expect(spy).not.toHaveBeenCalled();
    expect((await readModelFolder(folder)).maxSequenceLength).toBe(48);
  });

  test("a second time fetches no file, and offline makes no request", async () => {
    const folder = await resolve();
    hub.requests.length = 0;
    expect(await resolve()).toBe(folder);
    expect(hub.requests.filter(({ url }) => url.includes("/resolve/"))).toEqual([]);
    hub.requests.length = 0;
    expect(await resolve(hub.id, { localFilesOnly: true })).toBe(folder);
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect(await resolve()).toBe(folder);
    expect(await resolve(hub.id, { revision: sha })).toBe(folder);
    expect(hub.requests).toEqual([]);
  });

  test("goes on where an earlier attempt stopped, and keeps nothing damaged", async () => {
    hub.damaged = "tokenizer.json";
    await expect(resolve()).rejects.toMatchObject({ code: "damaged-download", facts: { file: "tokenizer.json" } });
    expect(files(join(storage(), "blobs")).some((file) => file.endsWith(".incomplete"))).toBe(false);
    expect(existsSync(join(storage(), "refs", "main"))).toBe(false);
    await expect(resolve(hub.id, { localFilesOnly: true })).rejects.toMatchObject({ code: "not-cached" });
    hub.damaged = undefined;
    hub.requests.length = 0;
    expect(files(await resolve())).toEqual(files(saved));
    expect(hub.requests.some(({ url }) => url.endsWith("/config.json") && !url.includes("_"))).toBe(false);
  });

  test("a damaged large file is found by its SHA-256", async () => {
    hub.damaged = "model.safetensors";
    await expect(resolve()).rejects.toMatchObject({ code: "damaged-download", facts: { file: "model.safetensors" } });
  });

  test("a name without an organisation is one of sentence-transformers", async () => {
    hub.id = "sentence-transformers/all-Tiny";
    expect(await resolve("all-Tiny")).toContain("models--sentence-transformers--all-Tiny");
    hub.id = "bert-base-uncased";
    expect(await resolve("bert-base-uncased")).toContain("models--bert-base-uncased");
  });

  test("sends the token of the option, else of the environment, else of the login", async () => {
    hub.requiredToken = "hf_option";
    await resolve(hub.id, { token: "hf_option" });
    expect(new Set(hub.requests.map(({ authorization }) => authorization))).toEqual(new Set(["Bearer hf_option"]));
    mkdirSync(join(parent, "home"));
    writeFileSync(join(parent, "home", "token"), "hf_login\n");
    expect(readHubEnvironment().token).toBe("hf_login");
    vi.stubEnv("HF_TOKEN", "hf_environment");
    expect(readHubEnvironment().token).toBe("hf_environment");
    vi.stubEnv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
    expect(readHubEnvironment().token).toBeUndefined();
  });
});

describe("refused", () => {
  test("offline and not cached", async () => {
    vi.stubEnv("HF_HUB_OFFLINE", "yes");
    await expect(resolve()).rejects.toThrow(/not in the cache .*HF_HUB_OFFLINE is set/);
    expect(hub.requests).toEqual([]);
  });

  test.each([
    [401, "hub-denied", /hf auth login/],
    [403, "hub-denied", /hf auth login/],
    [404, "hub-not-found", /no model organisation\/tiny with the revision main/],
    [500, "hub-failed", /status 500/],
    [429, "hub-failed", /status 429/],
  ])("status %d", async (status, code, message) => {
    hub.status = status;
    const attempt = resolve();
    await expect(attempt).rejects.toMatchObject({ code, facts: { id: hub.id, status } });
    await expect(attempt).rejects.toThrow(message);
  });

  test("a token that does not suffice is not shown", async () => {
    hub.requiredToken = "hf_other";
    const error = await resolve(hub.id, { token: "hf_secret" }).catch((reason: Error) => reason);
    expect(error).toMatchObject({ code: "hub-denied" });
    expect(`${(error as Error).message}${JSON.stringify((error as { facts?: unknown }).facts)}`).not.toContain(
      "secret",
    );
  });

  test("no network: says what was tried; with a cached copy, takes that and warns", async () => {
    const folder = await resolve();
    await hub.stop();
    const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    expect(await resolve()).toBe(folder);
    expect(warning).toHaveBeenCalledWith(expect.stringContaining(folder), { code: "GRADBANK_CACHED_MODEL" });
    rmSync(cacheFolder, { recursive: true });
    await expect(resolve()).rejects.toMatchObject({
      code: "hub-unreachable",
      facts: { reason: "ECONNREFUSED", endpoint: hub.endpoint },
    });
  });

  test("a model without safetensors", async () => {
    hub.files.delete("model.safetensors");
    await expect(resolve()).rejects.toMatchObject({ code: "no-safetensors" });
    expect(hub.requests.some(({ url }) => url.includes("/resolve/"))).toBe(false);
  });

  test("a hub that lists files outside the model", async () => {
    hub.files.set("../../evil.json", Buffer.from("{}"));
    await expect(resolve()).rejects.toMatchObject({ code: "hub-failed", facts: { file: "../../evil.json" } });
    expect(existsSync(join(cacheFolder, "evil.json"))).toBe(false);
  });

  test.each([
    [{ endpoint: "huggingface" }, "endpoint"],
    [{ token: "secret" }, "token"],
    [{ revision: "../main" }, "revision"],
  ])("option %j", async (options, option) => {
    await expect(resolve(hub.id, options)).rejects.toMatchObject({ code: "invalid-option", facts: { option } });
  });
});

describe("readHubEnvironment", () => {
  test.each([
    [{ HF_HOME: "/home/of/hf" }, "/home/of/hf/hub"],
    [{ XDG_CACHE_HOME: "/xdg" }, "/xdg/huggingface/hub"],
    [{ HF_HOME: "/a", HUGGINGFACE_HUB_CACHE: "/b" }, "/b"],
    [{ HF_HOME: "/a", HUGGINGFACE_HUB_CACHE: "/b", HF_HUB_CACHE: "/c" }, "/c"],
    [{ HF_HUB_CACHE: "/c", SENTENCE_TRANSFORMERS_HOME: "/d" }, "/d"],
  ])("%j keeps files in %s", (environment, expected) => {
    expect(readHubEnvironment(environment).cacheFolder).toBe(expected);
  });

  test("takes the address without its last slash", () => {
    expect(readHubEnvironment({ HF_ENDPOINT: "https://hub.example/" }).endpoint).toBe("https://hub.example");
    expect(readHubEnvironment({}).endpoint).toBe("https://huggingface.co");
  });
});
