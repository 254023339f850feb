import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { recoverWholeFolder, removeWholeFolder, tidyWholeFolders, writeWholeFolder } from "./whole-folder.ts";

let parent: string;
let target: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "gradbank-whole-folder-"));
  target = join(parent, "model");
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const fill =
  (text: string) =>
  async (folder: string): Promise<void> => {
    writeFileSync(join(folder, "config.json"), text);
    mkdirSync(join(folder, "1_Pooling"));
    writeFileSync(join(folder, "1_Pooling", "config.json"), text);
  };
const content = (): string => readFileSync(join(target, "config.json"), "utf8");
const host = hostname().replaceAll(/[^\w-]/g, "_") || "host";
/** Name of what a process left that no longer runs. */
const leftover = (kind: string): string => {
  const { pid } = spawnSync(process.execPath, ["-e", ""]);
  return join(parent, `.model.gradbank-${host}-${pid}-0123456789ab.${kind}`);
};

describe("writing", () => {
  test("makes the folder and its parents, and nothing else", async () => {
    target = join(parent, "a", "b", "model");
    await writeWholeFolder(target, fill("new"));
    expect(content()).toBe("new");
    expect(readdirSync(join(parent, "a", "b"))).toEqual(["model"]);
  });

  test("replaces a model only when the new one is complete", async () => {
    await writeWholeFolder(target, fill("old"));
    writeFileSync(join(target, "vocab.txt"), "of the old model");
    await writeWholeFolder(target, async (folder) => {
      await fill("new")(folder);
      expect(content()).toBe("old");
    });
    expect(content()).toBe("new");
    expect(readdirSync(target).sort()).toEqual(["1_Pooling", "config.json"]);
    expect(readdirSync(parent)).toEqual(["model"]);
  });

  test("an exception half-way leaves the old model and no trace", async () => {
    await writeWholeFolder(target, fill("old"));
    const failure = new Error("half-way");
    const attempt = writeWholeFolder(target, async (folder) => {
      writeFileSync(join(folder, "config.json"), "new");
      throw failure;
    });
    await expect(attempt).rejects.toBe(failure);
    expect(content()).toBe("old");
    expect(readdirSync(parent)).toEqual(["model"]);
  });

  test("an exception leaves no folder where there was none", async () => {
    await expect(writeWholeFolder(target, () => Promise.reject(new Error("early")))).rejects.toThrow("early");
    expect(readdirSync(parent)).toEqual([]);
  });

  test("replaces what a link points to", async () => {
    const real = join(parent, "real");
    await writeWholeFolder(real, fill("old"));
    symlinkSync(real, target);
    await writeWholeFolder(target, fill("new"));
    expect(readFileSync(join(real, "config.json"), "utf8")).toBe("new");
    expect(readdirSync(parent).sort()).toEqual(["model", "real"]);
  });

  test("two writers at once: each model is whole, the last one stays", async () => {
    const slow = writeWholeFolder(target, async (folder) => {
      await fill("slow")(folder);
      await new Promise((resolve) => setTimeout(resolve, 150));
    });
    const quick = writeWholeFolder(target, fill("quick"));
    await Promise.all([slow, quick]);
    expect(content()).toBe("slow");
    expect(readdirSync(parent)).toEqual(["model"]);
  });
});

describe("a full disk", () => {
  test("keeps the old model and says so", async ({ skip }) => {
    const disk = join(parent, "disk");
    mkdirSync(disk);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], { stdio: "pipe" });
    } catch (error) {
      console.warn(
        `NOT TESTED: a full disk. A tmpfs of 1 MB cannot be mounted here: ${String((error as Error).message)}`,
      );
      skip();
    }
    try {
      target = join(disk, "model");
      await writeWholeFolder(target, fill("old"));
      const attempt = writeWholeFolder(target, async (folder) => {
        await fill("new")(folder);
        writeFileSync(join(folder, "model.safetensors"), Buffer.alloc(2_000_000));
      });
      await expect(attempt).rejects.toMatchObject({ code: "disk-full", facts: { folder: target, reason: "ENOSPC" } });
      expect(content()).toBe("old");
      expect(readdirSync(disk)).toEqual(["model"]);
    } finally {
      execFileSync("umount", [disk]);
    }
  });
});

describe("what a killed process left", () => {
  test("a half-written folder is removed, a foreign one is not", async () => {
    mkdirSync(leftover("incomplete"));
    const running = join(parent, `.model.gradbank-${host}-${process.ppid}-0123456789ab.incomplete`);
    const elsewhere = join(parent, ".model.gradbank-other_machine-1-0123456789ab.incomplete");
    const otherModel = join(parent, ".models.gradbank-x-1-0123456789ab.incomplete");
    for (const folder of [running, elsewhere, otherModel]) mkdirSync(folder);
    await writeWholeFolder(target, fill("new"));
    expect(
      readdirSync(parent)
        .map((name) => join(parent, name))
        .sort(),
    ).toEqual([elsewhere, running, target, otherModel].sort());
  });

  test("a model that was moved aside is put back", async () => {
    const aside = leftover("replaced");
    mkdirSync(aside);
    await fill("old")(aside);
    await recoverWholeFolder(target);
    expect(content()).toBe("old");
    expect(existsSync(aside)).toBe(false);
  });

  test("a model that was moved aside is removed once its successor is there", async () => {
    await writeWholeFolder(target, fill("successor"));
    mkdirSync(leftover("replaced"));
    await recoverWholeFolder(target);
    expect(content()).toBe("successor");
    await writeWholeFolder(target, fill("next"));
    expect(readdirSync(parent)).toEqual(["model"]);
  });

  test("a process killed while it writes leaves the old model", async () => {
    await writeWholeFolder(target, fill("old"));
    const program = `
      import { writeFileSync } from "node:fs";
      import { writeWholeFolder } from ${JSON.stringify(join(import.meta.dirname, "whole-folder.ts"))};
      await writeWholeFolder(${JSON.stringify(target)}, async (folder) => {
        writeFileSync(folder + "/config.json", "new");
        process.kill(process.pid, "SIGKILL");
      });`;
    const file = join(parent, "killed.mts");
    writeFileSync(file, program);
    const result = spawnSync(process.execPath, ["--conditions=@gradbank/source", "--import=tsx", file], {
      cwd: import.meta.dirname,
      encoding: "utf8",
    });
    expect(result.signal, result.stderr).toBe("SIGKILL");
    rmSync(file);
    expect(readdirSync(parent)).toHaveLength(2);
    expect(content()).toBe("old");
    await writeWholeFolder(target, fill("next"));
    expect(readdirSync(parent)).toEqual(["model"]);
    expect(content()).toBe("next");
  });
});

describe("targets that are no model", () => {
  test("a file is refused", async () => {
    writeFileSync(target, "text");
    await expect(writeWholeFolder(target, fill("new"), { overwrite: true })).rejects.toMatchObject({
      code: "target-is-file",
    });
    expect(readFileSync(target, "utf8")).toBe("text");
  });

  test("an empty folder is used", async () => {
    mkdirSync(target);
    await writeWholeFolder(target, fill("new"));
    expect(content()).toBe("new");
  });

  test("a folder with other content is refused unless it may be overwritten", async () => {
    mkdirSync(target);
    writeFileSync(join(target, "thesis.tex"), "years of work");
    await expect(writeWholeFolder(target, fill("new"))).rejects.toMatchObject({
      code: "target-not-a-model",
      facts: { entries: ["thesis.tex"] },
    });
    expect(readdirSync(target)).toEqual(["thesis.tex"]);
    await writeWholeFolder(target, fill("new"), { overwrite: true });
    expect(readdirSync(target).sort()).toEqual(["1_Pooling", "config.json"]);
  });

  test("a model folder with other files beside the model is refused", async () => {
    await writeWholeFolder(target, fill("old"));
    mkdirSync(join(target, "checkpoint-9"));
    await expect(writeWholeFolder(target, fill("new"))).rejects.toMatchObject({
      code: "target-holds-other-files",
      facts: { entries: ["checkpoint-9"] },
    });
    expect(content()).toBe("old");
  });
});

test("folders of some names are tidied together: put back or cleared away, others are left", async () => {
  const of = (name: string, kind: string) => join(parent, `.${name}.gradbank-${host}-999999999-0123456789ab.${kind}`);
  for (const folder of [of("run-1", "replaced"), of("run-2", "incomplete"), of("other", "incomplete")])
    mkdirSync(folder);
  await tidyWholeFolders(parent, /^run-\d+$/);
  expect(
    readdirSync(parent)
      .filter((name) => /run|other/.test(name))
      .sort(),
  ).toEqual([of("other", "incomplete").slice(parent.length + 1), "run-1"]);
  await tidyWholeFolders(join(parent, "missing"), /./);
});

test("a removed folder is gone, with nothing beside it", async () => {
  await writeWholeFolder(target, fill("a"));
  const others = readdirSync(parent).filter((name) => name !== basename(target));
  await removeWholeFolder(target);
  expect(readdirSync(parent)).toEqual(others);
});
