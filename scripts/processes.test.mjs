import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { runAttached, runLogged } from "./processes.mjs";
import { repositoryRoot } from "./repository.mjs";

const folder = mkdtempSync(join(tmpdir(), "gradbank-processes-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const logFile = join(folder, "deep", "run.log");

test("runLogged keeps both streams in the log, shows each line and returns status and last lines", async () => {
  /** @type {string[]} */
  const shown = [];
  const script = "for (let i = 0; i < 500; i++) console.log('line ' + i); console.error('oh'); process.exitCode = 7";
  const run = await runLogged(process.execPath, ["-e", script], {
    cwd: folder,
    environment: process.env,
    logFile,
    showOutput: (line) => shown.push(line),
  });
  assert.equal(run.code, 7);
  assert.equal(shown.length, 501);
  assert.equal(run.output.split("\n").length, 400);
  assert.ok(run.output.includes("line 499"));
  const log = readFileSync(logFile, "utf8").split("\n");
  assert.equal(log.filter((line) => line.startsWith("line ")).length, 500);
  assert.ok(log.includes("oh"));
});

test("a command that does not exist is an error, not a status", async () => {
  const options = { cwd: folder, environment: process.env, logFile, showOutput: () => {} };
  await assert.rejects(runLogged(join(folder, "nothing"), [], options), /ENOENT/);
});

test("runAttached passes the status on", async () => {
  const options = { cwd: folder, environment: process.env };
  assert.equal(await runAttached(process.execPath, ["-e", "process.exitCode = 5"], options), 5);
  assert.equal(await runAttached(process.execPath, ["-e", ""], options), 0);
});

test("a signal ends the command before the script ends, with status 128 + n and word of what to do", {
  skip: process.platform === "win32" ? "no signals" : false,
}, async () => {
  const at = (/** @type {string} */ name) => JSON.stringify(pathToFileURL(join(repositoryRoot, "scripts", name)).href);
  const script = `
    const { runLogged } = await import(${at("processes.mjs")});
    const { runScript } = await import(${at("install.mjs")});
    await runScript(() => runLogged(process.execPath, ["-e", "console.log(process.pid); setInterval(() => {}, 1000)"], {
      cwd: ${JSON.stringify(folder)}, environment: process.env, logFile: ${JSON.stringify(logFile)},
      showOutput: (line) => console.log(line),
    }));`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "pipe"] });
  let errors = "";
  child.stderr.on("data", (data) => {
    errors += data;
  });
  const pid = await new Promise((resolve) => child.stdout.once("data", (data) => resolve(Number(String(data).trim()))));
  child.kill("SIGTERM");
  const status = await new Promise((resolve) => child.on("close", resolve));
  assert.equal(status, 143);
  assert.match(errors, /Interrupted\. Run the same command again/);
  assert.throws(() => process.kill(pid, 0), /ESRCH/);
});
