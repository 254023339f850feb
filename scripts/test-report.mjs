import { stripVTControlCharacters } from "node:util";

/**
 * @typedef {{ passed: number, failed: number, skipped: number }} TestCounts
 * @typedef {{ taskId: string, task: string, logFile: string, execution?: { exitCode?: number | null, error?: string } }} TurboTask
 */

/**
 * Adds up "12 passed", "1 failed", "2 errors", "3 skipped" in a test runner's own last line.
 *
 * @param {string} line
 * @returns {TestCounts}
 */
function countsOfLine(line) {
  const sum = (/** @type {string} */ words) =>
    [...line.matchAll(new RegExp(`(\\d+) (?:${words})\\b`, "g"))].reduce((total, match) => total + Number(match[1]), 0);
  return {
    passed: sum("passed|xfailed"),
    failed: sum("failed|errors?|xpassed"),
    skipped: sum("skipped|todo|deselected"),
  };
}

/**
 * Reads the numbers that vitest, pytest or `node --test` (TAP) print at their end; undefined when the log has no such
 * end, for example because the runner crashed.
 *
 * @param {string} log
 * @returns {TestCounts | undefined}
 */
export function countTests(log) {
  const lines = stripVTControlCharacters(log).split(/\r?\n/);
  const vitest = lines.findLast((line) => /^\s*Tests\s+\d+ (passed|failed|skipped|todo)/.test(line));
  if (vitest !== undefined) {
    return countsOfLine(vitest);
  }
  const pytest = lines.findLast((line) =>
    /^=*\s*\d+ (passed|failed|skipped|errors?|xfailed|xpassed|deselected)\b.* in [\d.]+s/.test(line),
  );
  if (pytest !== undefined) {
    return countsOfLine(pytest);
  }
  const tap = (/** @type {string} */ word) => {
    const line = lines.findLast((candidate) => candidate.startsWith(`# ${word} `));
    return line === undefined ? undefined : Number(line.split(" ")[2]);
  };
  const passed = tap("pass");
  const failed = tap("fail");
  return passed === undefined || failed === undefined
    ? undefined
    : { passed, failed, skipped: (tap("skipped") ?? 0) + (tap("todo") ?? 0) };
}

/**
 * Sums what a turbo run did. A task that failed without a failed test of its own (lint, build, a crashed runner)
 * counts as one failure and is named, so that "0 failed" never stands beside a failed run.
 *
 * @param {TurboTask[]} tasks the `tasks` of turbo's run summary
 * @param {(task: TurboTask) => string | undefined} readLog a task's log; undefined when there is none
 * @returns {TestCounts & { failedTasks: string[], withoutCount: string[] }}
 */
export function summarizeTasks(tasks, readLog) {
  const total = {
    passed: 0,
    failed: 0,
    skipped: 0,
    failedTasks: /** @type {string[]} */ ([]),
    withoutCount: /** @type {string[]} */ ([]),
  };
  for (const task of tasks) {
    if (task.execution === undefined) {
      continue;
    }
    const hasFailed = (task.execution.exitCode ?? 0) !== 0 || task.execution.error !== undefined;
    const log = task.task === "test" ? readLog(task) : undefined;
    const counts = log === undefined ? undefined : countTests(log);
    total.passed += counts?.passed ?? 0;
    total.failed += counts?.failed ?? 0;
    total.skipped += counts?.skipped ?? 0;
    if (hasFailed) {
      total.failedTasks.push(task.taskId);
      total.failed += counts === undefined || counts.failed === 0 ? 1 : 0;
    } else if (task.task === "test" && counts === undefined) {
      total.withoutCount.push(task.taskId);
    }
  }
  return total;
}
