import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runLogged } from "./processes.mjs";
import { withProgress } from "./progress.mjs";
import { findPython } from "./python-interpreter.mjs";
import { pipNetworkFailure, pipUnreachableHost, withoutCredentials } from "./registry-failure.mjs";
import { pythonFolder, pythonOfEnvironment, setupLogFolder, virtualEnvironment } from "./repository.mjs";
import { SetupError } from "./setup-error.mjs";

const stampFile = join(virtualEnvironment, "gradbank-setup.json");

/**
 * What an environment was made from. `place` is the folder it was made in: a virtual environment holds absolute paths
 * and does not survive a move.
 *
 * @typedef {{ requirements: string, python: string, requested: string, place: string }} Stamp
 */

/** Hash of the files that say what is installed. */
function requirementsHash() {
  const hash = createHash("sha256");
  for (const name of ["pyproject.toml", "constraints.txt"]) {
    const file = join(pythonFolder, name);
    if (!existsSync(file)) {
      throw new SetupError(
        "repository-incomplete",
        `${file} is missing, so the Python packages to install are unknown. Check out the repository again (git checkout -- python-ref).`,
      );
    }
    hash.update(name).update(readFileSync(file));
  }
  return hash.digest("hex");
}

/**
 * The exact torch version that constraints.txt pins.
 *
 * @param {string} constraints the text of constraints.txt
 */
export function pinnedTorchVersion(constraints) {
  const version = constraints.match(/^torch==([^\s;#]+)/m)?.[1];
  if (version === undefined) {
    throw new SetupError(
      "repository-incomplete",
      "python-ref/constraints.txt has no line torch==VERSION; it must pin torch exactly.",
    );
  }
  return version;
}

/** @returns {Stamp | undefined} */
function readStamp() {
  if (!existsSync(stampFile)) {
    return undefined;
  }
  try {
    return JSON.parse(readFileSync(stampFile, "utf8"));
  } catch {
    // Half a stamp means an interrupted set-up: the environment is made anew, as without a stamp.
    return undefined;
  }
}

/** Version of the environment's own interpreter; undefined when it does not start (its base Python is gone). */
function environmentVersion() {
  const run = spawnSync(
    pythonOfEnvironment(virtualEnvironment),
    ["-c", "import platform; print(platform.python_version())"],
    {
      encoding: "utf8",
      timeout: 30_000,
    },
  );
  return run.status === 0 ? run.stdout.trim() : undefined;
}

/** The caller's environment without what would send pip elsewhere than into the virtual environment. */
function pipEnvironment() {
  const environment = { ...process.env };
  for (const name of [
    "PYTHONHOME",
    "PYTHONPATH",
    "PIP_USER",
    "PIP_TARGET",
    "PIP_PREFIX",
    "VIRTUAL_ENV",
    "__PYVENV_LAUNCHER__",
  ]) {
    delete environment[name];
  }
  return { ...environment, PIP_DISABLE_PIP_VERSION_CHECK: "1", PIP_NO_INPUT: "1", PYTHONUNBUFFERED: "1" };
}

/**
 * Makes `python-ref/.venv` with torch, sentence-transformers and the reference, unless it is there and up to date.
 *
 * torch goes first, by its exact version, so that no other package chooses one. The stamp is written last: without it
 * the environment counts as unfinished and is made anew. A changed pyproject.toml or constraints.txt is installed into
 * the existing environment. Throws `SetupError`: "python-missing", "python-unusable", "registry-unreachable",
 * "step-failed", "interrupted", "repository-incomplete".
 *
 * @returns {Promise<boolean>} whether anything was installed
 */
export async function installPythonEnvironment() {
  const requirements = requirementsHash();
  const requested = process.env.GRADBANK_PYTHON ?? "";
  const stamp = readStamp();
  const version = stamp === undefined ? undefined : environmentVersion();
  const fits =
    stamp !== undefined &&
    version === stamp.python &&
    stamp.place === virtualEnvironment &&
    (requested === "" || requested === stamp.requested);
  if (fits && stamp.requirements === requirements) {
    return false;
  }
  rmSync(stampFile, { force: true });
  const environment = pipEnvironment();
  let python = version;
  if (!fits) {
    const interpreter = findPython();
    python = interpreter.version;
    await step(
      "Making the Python environment",
      "python-venv",
      interpreter.executable,
      ["-m", "venv", "--clear", virtualEnvironment],
      environment,
    );
  }
  const pip = ["-m", "pip", "install", "--progress-bar", "off"];
  const inside = pythonOfEnvironment(virtualEnvironment);
  const torch = `torch==${pinnedTorchVersion(readFileSync(join(pythonFolder, "constraints.txt"), "utf8"))}`;
  await step(
    `Installing ${torch} (Python ${python}; the largest download)`,
    "pip-torch",
    inside,
    [...pip, torch],
    environment,
  );
  await step(
    "Installing sentence-transformers, the model and the Python reference",
    "pip-reference",
    inside,
    [...pip, "-c", "constraints.txt", "-e", ".[dev]"],
    environment,
  );
  writeFileSync(stampFile, JSON.stringify({ requirements, python, requested, place: virtualEnvironment }));
  return true;
}

/**
 * @param {string} title
 * @param {string} logName
 * @param {string} command
 * @param {string[]} commandArguments
 * @param {NodeJS.ProcessEnv} environment
 */
async function step(title, logName, command, commandArguments, environment) {
  const logFile = join(setupLogFolder, `${logName}.log`);
  await withProgress(title, async (showOutput) => {
    const run = await runLogged(command, commandArguments, { cwd: pythonFolder, environment, logFile, showOutput });
    if (run.code !== 0) {
      throw stepError(title, run.output, logFile);
    }
  });
}

/**
 * @param {string} title
 * @param {string} output
 * @param {string} logFile
 */
export function stepError(title, output, logFile) {
  const tail = withoutCredentials(output.split("\n").slice(-12).join("\n"));
  const network = pipNetworkFailure(output);
  if (network !== undefined) {
    const index =
      pipUnreachableHost(output) ?? withoutCredentials(process.env.PIP_INDEX_URL ?? "that pip is configured for");
    return new SetupError(
      "registry-unreachable",
      `The Python package index ${index} could not be used (${network}).\n` +
        "Check the network connection, then run the same command again. Behind a proxy: set HTTPS_PROXY. With a mirror of\n" +
        `your own: set PIP_INDEX_URL to its address.\n\n${tail}\n\nThe whole output: ${logFile}`,
    );
  }
  if (/No matching distribution found for torch==/.test(output)) {
    return new SetupError(
      "step-failed",
      "The package index has no build of that torch for this Python and this platform.\n" +
        `Try another Python (3.11 to 3.13) with GRADBANK_PYTHON.\n\n${tail}\n\nThe whole output: ${logFile}`,
    );
  }
  return new SetupError("step-failed", `${title} failed. Its last words:\n\n${tail}\n\nThe whole output: ${logFile}`);
}
