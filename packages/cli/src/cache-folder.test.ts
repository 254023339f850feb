import { homedir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { cacheFolder } from "./cache-folder.ts";

it("follows XDG_CACHE_HOME, and is below the home folder without it", () => {
  expect(cacheFolder({ XDG_CACHE_HOME: "/cache" })).toBe(join("/cache", "gradbank"));
  for (const environment of [{}, { XDG_CACHE_HOME: "" }])
    expect(cacheFolder(environment)).toBe(join(homedir(), ".cache", "gradbank"));
});
