import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { findPythonEnvironment } from "./python-environment.ts";

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "gradbank-environment-"));
  await mkdir(join(root, "packages", "bridge", "src"), { recursive: true });
});

afterEach(() => rm(root, { recursive: true }));

it("walks up to python-ref and takes its virtual environment", async () => {
  const bin = join(root, "python-ref", ".venv", "bin");
  await mkdir(bin, { recursive: true });
  await writeFile(join(root, "python-ref", "pyproject.toml"), "");
  const from = join(root, "packages", "bridge", "src");
  const missing = expect.objectContaining({
    code: "python-missing",
    message: expect.stringContaining("npm run setup"),
  });
  expect(() => findPythonEnvironment("", from)).toThrow(missing);
  await writeFile(join(bin, "python"), "");
  expect(findPythonEnvironment("", from)).toEqual({
    python: join(bin, "python"),
    referenceFolder: join(root, "python-ref"),
  });
  expect(findPythonEnvironment("/some/python", from).python).toBe("/some/python");
});

it("says that the reference comes with the repository", () => {
  const missing = expect.objectContaining({ code: "reference-missing", message: expect.stringContaining("clone") });
  expect(() => findPythonEnvironment("", root)).toThrow(missing);
});
