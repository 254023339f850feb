import "./node-version.mjs";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { install, runScript } from "./install.mjs";
import { runLogged } from "./processes.mjs";
import { say, withProgress } from "./progress.mjs";
import { repositoryRoot, setupLogFolder } from "./repository.mjs";
import { countTests, summarizeTasks } from "./test-report.mjs";
import { runTurbo } from "./turbo.mjs";

/**
 * Runs one of the checks of the files that belong to no package, and shows its output when it fails.
 *
 * @param {string} title
 * @param {string} logName
 * @param {string[]} nodeArguments
 */
async function check(title, logName, nodeArguments) {
  const logFile = join(setupLogFolder, `${logName}.log`);
  const run = await withProgress(title, (showOutput) =>
    runLogged(process.execPath, nodeArguments, { cwd: repositoryRoot, environment: process.env, logFile, showOutput }),
  );
  if (run.code !== 0) {
    say(run.output);
  }
  return run;
}

function readRunSummary() {
  const folder = join(repositoryRoot, ".turbo", "runs");
  const file = existsSync(folder) ? readdirSync(folder).find((name) => name.endsWith(".json")) : undefined;
  return file === undefined ? undefined : JSON.parse(readFileSync(join(folder, file), "utf8"));
}

await runScript(async () => {
  await install({ python: "required" });

  const biome = join("node_modules", "@biomejs", "biome", "bin", "biome");
  const rootFiles = ["scripts", "vitest.shared.ts", "package.json", "turbo.json", "biome.json", "tsconfig.base.json"];
  const lint = await check("Checking the repository's own files", "root-lint", [biome, "check", ...rootFiles]);
  const scriptTests = readdirSync(join(repositoryRoot, "scripts")).filter((name) => name.endsWith(".test.mjs"));
  const scripts = await check("Testing the scripts", "script-tests", [
    "--test",
    "--test-reporter=tap",
    ...scriptTests.map((name) => join("scripts", name)),
  ]);

  rmSync(join(repositoryRoot, ".turbo", "runs"), { recursive: true, force: true });
  const code = await runTurbo([
    "run",
    "lint",
    "typecheck",
    "build",
    "test",
    "--continue=dependencies-successful",
    "--output-logs=new-only",
    "--log-order=grouped",
    // Each vitest takes up to two workers itself.
    `--concurrency=${Math.max(2, Math.floor(availableParallelism() / 2))}`,
    "--summarize",
    ...process.argv.slice(2),
  ]);

  const failed = [];
  const total = { passed: 0, failed: 0, skipped: 0 };
  if (lint.code !== 0) {
    failed.push("lint of the repository's own files");
    total.failed += 1;
  }
  const scriptCounts = countTests(scripts.output);
  total.passed += scriptCounts?.passed ?? 0;
  total.failed += scriptCounts?.failed || (scripts.code === 0 ? 0 : 1);
  if (scripts.code !== 0) {
    failed.push("tests of the scripts");
  }
  const summary = readRunSummary();
  if (summary === undefined) {
    say("\nturbo ended without a summary: its tests are not counted.");
    failed.push(...(code === 0 ? [] : ["turbo"]));
    total.failed += code === 0 ? 0 : 1;
  } else {
    const counted = summarizeTasks(summary.tasks, (task) => {
      const logFile = join(repositoryRoot, task.logFile);
      return existsSync(logFile) ? readFileSync(logFile, "utf8") : undefined;
    });
    total.passed += counted.passed;
    total.failed += counted.failed;
    total.skipped += counted.skipped;
    failed.push(...counted.failedTasks);
    if (counted.withoutCount.length > 0) {
      say(`\nPassed without saying how many tests: ${counted.withoutCount.join(", ")}`);
    }
  }
  if (failed.length > 0) {
    say(`\nFailed: ${failed.join(", ")}`);
  }
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
  process.stdout.write(`\n${total.passed} passed, ${total.failed} failed${skipped}\n`);
  return code !== 0 ? code : failed.length > 0 ? 1 : 0;
});
