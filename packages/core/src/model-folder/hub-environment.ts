import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** Where the hub is, where its files are kept, and who asks: as Python's huggingface_hub finds it in the environment. */
export type HubEnvironment = {
  /** Address of the hub without a slash at its end (HF_ENDPOINT). */
  readonly endpoint: string;
  /** Folder of the cache (SENTENCE_TRANSFORMERS_HOME, HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME). */
  readonly cacheFolder: string;
  /** Whether no request may be made (HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE). */
  readonly offline: boolean;
  /** Access token (HF_TOKEN, HUGGING_FACE_HUB_TOKEN, or the file that `hf auth login` wrote). */
  readonly token: string | undefined;
};

/**
 * Reads the environment variables that Python's huggingface_hub and sentence-transformers heed.
 *
 * @param environment Variables by name.
 * @default environment process.env
 */
export function readHubEnvironment(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): HubEnvironment {
  const home = expanded(
    environment.HF_HOME || join(environment.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface"),
  );
  const cache =
    environment.SENTENCE_TRANSFORMERS_HOME ||
    environment.HF_HUB_CACHE ||
    environment.HUGGINGFACE_HUB_CACHE ||
    join(home, "hub");
  return {
    endpoint: (environment.HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, ""),
    cacheFolder: expanded(cache),
    offline: isTrue(environment.HF_HUB_OFFLINE || environment.TRANSFORMERS_OFFLINE),
    token: isTrue(environment.HF_HUB_DISABLE_IMPLICIT_TOKEN)
      ? undefined
      : (trimmed(environment.HF_TOKEN) ??
        trimmed(environment.HUGGING_FACE_HUB_TOKEN) ??
        trimmed(readToken(expanded(environment.HF_TOKEN_PATH || join(home, "token"))))),
  };
}

function isTrue(value: string | undefined): boolean {
  return ["1", "ON", "YES", "TRUE"].includes((value ?? "").toUpperCase());
}

function trimmed(value: string | undefined): string | undefined {
  return value?.trim() || undefined;
}

function expanded(path: string): string {
  return resolve(path.startsWith("~") ? homedir() + path.slice(1) : path);
}

function readToken(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    // No such file, or one that this user may not read: nobody is logged in.
    return undefined;
  }
}
