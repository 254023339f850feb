import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { loadQuickstartModel } from "./quickstart-model.ts";

let cache: string;
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "gradbank-hub-"));
  vi.stubEnv("HF_HUB_OFFLINE", "1");
  vi.stubEnv("HF_HUB_CACHE", cache);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(cache, { recursive: true, force: true });
});

it("says why neither Python nor the hub has the default model, and what to do", async () => {
  const source = { model: undefined, reference: undefined, withoutReference: "There is no Python.", threads: 1 };
  const error = await loadQuickstartModel(source).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ code: "model-unavailable", cause: { code: "not-cached" } });
  const { message } = error as Error;
  for (const part of ["There is no Python.", "all-MiniLM-L6-v2", "npm run setup", "--model"])
    expect(message).toContain(part);
});

it("takes Python's folder for the default model", async () => {
  const reference = { minilmFolder: async () => join(cache, "nowhere") };
  const source = { model: undefined, reference, withoutReference: undefined, threads: 1 };
  await expect(loadQuickstartModel(source)).rejects.toMatchObject({
    code: "missing-folder",
    message: expect.stringContaining("nowhere"),
  });
});

it("takes the model that was asked for, and no other in its place", async () => {
  const reference = { minilmFolder: () => Promise.reject(new Error("not to be asked")) };
  const source = { model: join(cache, "mine"), reference, withoutReference: undefined, threads: 1 };
  await expect(loadQuickstartModel(source)).rejects.toMatchObject({ code: "missing-folder" });
});
