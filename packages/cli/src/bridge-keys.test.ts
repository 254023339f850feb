import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { writeBridgeKeys } from "./bridge-keys.ts";
import { exitCodes } from "./exit-codes.ts";

it("writes both files, says where each goes, and never overwrites", async () => {
  const output = await mkdtemp(join(tmpdir(), "gradbank-keys-"));
  let text = "";
  const writeOut = (more: string) => {
    text += more;
  };
  expect(await writeBridgeKeys({ output }, writeOut)).toBe(exitCodes.done);
  expect((await readdir(output)).sort()).toEqual(["client.keys", "server.keys"]);
  expect(text).toContain(`--keys ${join(output, "server.keys")}`);
  expect(text).toContain(`--keys ${join(output, "client.keys")}`);
  await expect(writeBridgeKeys({ output }, writeOut)).rejects.toMatchObject({ code: "keys-exist" });
  await rm(output, { recursive: true });
});
