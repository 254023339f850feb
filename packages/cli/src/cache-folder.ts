import { homedir } from "node:os";
import { join } from "node:path";

/**
 * Where things lie that can be made again: the random models of parity suites.
 * @param environment `XDG_CACHE_HOME`, as the Hugging Face hub's cache follows it.
 */
export function cacheFolder(environment: Readonly<Record<string, string | undefined>>): string {
  return join(environment.XDG_CACHE_HOME || join(homedir(), ".cache"), "gradbank");
}
