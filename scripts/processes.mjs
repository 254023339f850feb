import { spawn } from "node:child_process";
import { createWriteStream, mkdirSync } from "node:fs";
import { constants } from "node:os";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { SetupError } from "./setup-error.mjs";

const keptLines = 400;

// Under npm run one Ctrl-C arrives twice: from the terminal and from npm. A later one means it.
const sameSignalMilliseconds = 1000;

/** @param {NodeJS.Signals} signal */
const exitCodeOfSignal = (signal) => 128 + (constants.signals[signal] ?? 1);

/**
 * @typedef {object} LoggedRun
 * @property {number} code exit status
 * @property {string} output the last 400 lines of standard output and standard error together
 */

/**
 * Runs a command whose output a person does not want to see unless it fails: all of it goes to a log file.
 * A signal to this process ends the command first and then throws `SetupError` "interrupted"; a second signal, more
 * than a second later, does not wait for the command to end in good order.
 *
 * @param {string} command
 * @param {string[]} commandArguments
 * @param {{ cwd: string, environment: NodeJS.ProcessEnv, logFile: string, shell?: boolean, showOutput: (line: string) => void }} options
 * @returns {Promise<LoggedRun>}
 */
export async function runLogged(command, commandArguments, options) {
  mkdirSync(dirname(options.logFile), { recursive: true });
  const log = createWriteStream(options.logFile);
  log.write(`$ ${[command, ...commandArguments].join(" ")}\n`);
  const child = spawn(command, commandArguments, {
    cwd: options.cwd,
    env: options.environment,
    shell: options.shell ?? false,
    stdio: ["ignore", "pipe", "pipe"],
    windowsHide: true,
  });
  /** @type {NodeJS.Signals | undefined} */
  let interruptedBy;
  let firstSignal = 0;
  const stop = (/** @type {NodeJS.Signals} */ signal) => {
    if (interruptedBy === undefined) {
      interruptedBy = signal;
      firstSignal = Date.now();
      options.showOutput("stopping");
      child.kill(signal);
    } else if (Date.now() - firstSignal > sameSignalMilliseconds) {
      child.kill("SIGKILL");
    }
  };
  const signals = /** @type {NodeJS.Signals[]} */ (["SIGINT", "SIGTERM", "SIGHUP"]);
  for (const signal of signals) {
    process.on(signal, stop);
  }
  /** @type {string[]} */
  const lines = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      log.write(`${line}\n`);
      options.showOutput(line);
      lines.push(line);
      if (lines.length > keptLines) {
        lines.shift();
      }
    });
  }
  try {
    const code = await new Promise((resolve, reject) => {
      log.on("error", reject);
      child.on("error", reject);
      child.on("close", (status, signal) => resolve(status ?? (signal ? exitCodeOfSignal(signal) : 1)));
    });
    if (interruptedBy !== undefined) {
      const error = new SetupError("interrupted", "Interrupted. Run the same command again: it goes on from here.");
      throw Object.assign(error, { exitCode: exitCodeOfSignal(interruptedBy) });
    }
    return { code, output: lines.join("\n") };
  } finally {
    for (const signal of signals) {
      process.off(signal, stop);
    }
    await new Promise((resolve) => log.end(resolve));
  }
}

/**
 * Runs a command on this process's own input and output and returns its exit status (128 + n after signal n).
 *
 * @param {string} command
 * @param {string[]} commandArguments
 * @param {{ cwd: string, environment: NodeJS.ProcessEnv }} options
 * @returns {Promise<number>}
 */
export async function runAttached(command, commandArguments, options) {
  const child = spawn(command, commandArguments, { cwd: options.cwd, env: options.environment, stdio: "inherit" });
  const isInteractive = process.stdin.isTTY === true;
  const forward = (/** @type {NodeJS.Signals} */ signal) => {
    // A terminal sends Ctrl-C to the child itself; a second one would read as "stop at once".
    if (signal !== "SIGINT" || !isInteractive) {
      child.kill(signal);
    }
  };
  const signals = /** @type {NodeJS.Signals[]} */ (["SIGINT", "SIGTERM", "SIGHUP"]);
  for (const signal of signals) {
    process.on(signal, forward);
  }
  try {
    return await new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (status, signal) => resolve(status ?? (signal ? exitCodeOfSignal(signal) : 1)));
    });
  } finally {
    for (const signal of signals) {
      process.off(signal, forward);
    }
  }
}
