import assert from "node:assert/strict";
import { test } from "node:test";
import { countTests, summarizeTasks } from "./test-report.mjs";

test("vitest, pytest and node --test are understood", () => {
  const cases = [
    [
      "\u001b[2m Test Files \u001b[22m 3 passed (3)\n\u001b[2m      Tests \u001b[22m \u001b[32m191 passed\u001b[39m (191)\n",
      191,
      0,
      0,
    ],
    [
      " Test Files  1 failed | 2 passed (3)\n      Tests  1 failed | 190 passed | 2 skipped | 1 todo (194)\n",
      190,
      1,
      3,
    ],
    ["....\n23 passed in 4.56s\n", 23, 0, 0],
    [
      "=== short summary ===\nFAILED tests/a.py\n1 failed, 22 passed, 3 skipped, 2 errors in 61.20s (0:01:01)\n",
      22,
      3,
      3,
    ],
    ["======= 4 passed, 1 xfailed, 9 warnings in 0.10s =======\n", 5, 0, 0],
    ["TAP version 13\n# tests 5\n# pass 4\n# fail 1\n# cancelled 0\n# skipped 0\n# todo 0\n", 4, 1, 0],
  ];
  for (const [log, passed, failed, skipped] of cases) {
    assert.deepEqual(countTests(String(log)), { passed, failed, skipped }, String(log));
  }
});

test("a log without an end is not counted", () => {
  assert.equal(countTests("RUN v4\nError: cannot find module\n"), undefined);
  assert.equal(countTests("12 passed the exam\n"), undefined);
  assert.equal(countTests(""), undefined);
});

test("failed tasks always count, tests and tasks are not counted twice", () => {
  const ended = (/** @type {string} */ taskId, /** @type {number} */ exitCode) => ({
    taskId,
    task: taskId.split("#")[1] ?? "",
    logFile: `${taskId}.log`,
    execution: { exitCode },
  });
  /** @type {Record<string, string>} */
  const logs = {
    "a#test.log": "Tests  2 failed | 3 passed (5)",
    "b#test.log": "Tests  7 passed (7)",
    "c#test.log": "killed",
    "d#test.log": "all is well",
    "e#test.log": "Tests  4 passed (4)",
    "a#lint.log": "Tests  100 passed (100)",
  };
  const tasks = [
    ended("a#test", 1),
    ended("b#test", 0),
    ended("c#test", 137),
    ended("d#test", 0),
    // Every test passed, yet the run failed: an unhandled rejection, for example.
    ended("e#test", 1),
    ended("a#lint", 1),
    ended("b#build", 0),
    { taskId: "f#test", task: "test", logFile: "f.log" },
  ];
  assert.deepEqual(
    summarizeTasks(tasks, (task) => logs[task.logFile]),
    {
      passed: 14,
      failed: 5,
      skipped: 0,
      failedTasks: ["a#test", "c#test", "e#test", "a#lint"],
      withoutCount: ["d#test"],
    },
  );
});
