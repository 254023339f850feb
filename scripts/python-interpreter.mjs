import { spawnSync } from "node:child_process";
import { SetupError } from "./setup-error.mjs";

const lowest = [3, 11];

// Runs on Python 2 too: an old `python` must be recognised, not crash the search.
const question = `
import json, sys
missing = []
for name in ("venv", "ensurepip"):
    try:
        __import__(name)
    except ImportError:
        missing.append(name)
print(json.dumps({"version": list(sys.version_info[:3]), "executable": sys.executable, "missing": missing}))
`;

/**
 * @typedef {object} Interpreter
 * @property {string} command what started it, for messages
 * @property {string} executable its own path
 * @property {string} version for example "3.11.7"
 *
 * @typedef {object} Candidate
 * @property {string} command
 * @property {string[]} leading arguments before the script's own
 */

/**
 * The commands that are tried for Python, in order: `GRADBANK_PYTHON` alone when it is set, else the newest known
 * version first, then the plain names, then the Windows launcher.
 *
 * @param {NodeJS.ProcessEnv} environment
 * @param {NodeJS.Platform} platform
 * @returns {Candidate[]}
 */
export function pythonCandidates(environment, platform) {
  if (environment.GRADBANK_PYTHON) {
    return [{ command: environment.GRADBANK_PYTHON, leading: [] }];
  }
  const names = ["python3.13", "python3.12", "python3.11", "python3", "python"];
  const candidates = names.map((command) => ({ command, leading: /** @type {string[]} */ ([]) }));
  return platform === "win32" ? [...candidates, { command: "py", leading: ["-3"] }] : candidates;
}

/**
 * Finds a Python that can hold the reference: 3.11 or newer, with `venv` and `ensurepip`.
 *
 * Throws `SetupError` "python-missing" (none, or all too old) or "python-unusable" (`venv` or `ensurepip` missing, or
 * `GRADBANK_PYTHON` names something else), each with what was tried and what to install.
 *
 * @param {NodeJS.ProcessEnv} environment
 * @param {NodeJS.Platform} platform
 * @returns {Interpreter}
 */
export function findPython(environment = process.env, platform = process.platform) {
  const tried = [];
  let incomplete;
  for (const { command, leading } of pythonCandidates(environment, platform)) {
    const shown = [command, ...leading].join(" ");
    const run = spawnSync(command, [...leading, "-c", question], {
      encoding: "utf8",
      env: environment,
      timeout: 30_000,
    });
    const answer = run.status === 0 ? parseAnswer(run.stdout) : undefined;
    if (answer === undefined) {
      if (environment.GRADBANK_PYTHON) {
        const cause =
          run.error?.message ?? (run.stderr || run.stdout || "it printed nothing").trim().split("\n").at(-1);
        throw new SetupError(
          "python-unusable",
          `GRADBANK_PYTHON is ${command}, which does not run as Python: ${cause}\n` +
            "Set it to a Python 3.11 or newer, or unset it: then python3.13 ... python3.11, python3 and python are tried.",
        );
      }
      continue;
    }
    const version = answer.version.join(".");
    const [major = 0, minor = 0] = answer.version;
    if (major < lowest[0] || (major === lowest[0] && minor < lowest[1])) {
      tried.push(`${shown} is Python ${version}`);
    } else if (answer.missing.length > 0) {
      incomplete ??= { shown, version, minor, missing: answer.missing };
    } else {
      return { command: shown, executable: answer.executable, version };
    }
  }
  if (incomplete !== undefined) {
    throw new SetupError(
      "python-unusable",
      `${incomplete.shown} is Python ${incomplete.version}, but it lacks ${incomplete.missing.join(" and ")}, which make virtual environments.\n` +
        `Debian, Ubuntu: sudo apt install python3.${incomplete.minor}-venv. Then run the same command again, or set GRADBANK_PYTHON to another Python.`,
    );
  }
  const found = tried.length > 0 ? `${tried.join("; ")}.` : "None was found on the PATH.";
  throw new SetupError(
    "python-missing",
    `gradbank compares itself with Python sentence-transformers and needs Python 3.11 or newer for that. ${found}\n${installationAdvice(platform)}\n` +
      "Then run the same command again. A Python elsewhere: set GRADBANK_PYTHON to its path.",
  );
}

/**
 * @param {string} output
 * @returns {{ version: number[], executable: string, missing: string[] } | undefined}
 */
function parseAnswer(output) {
  const line = output.trim().split("\n").at(-1) ?? "";
  if (!line.startsWith("{")) {
    return undefined;
  }
  return JSON.parse(line);
}

/** @param {NodeJS.Platform} platform */
function installationAdvice(platform) {
  if (platform === "darwin") {
    return "Install one: brew install python@3.13";
  }
  if (platform === "win32") {
    return "Install one: winget install Python.Python.3.13";
  }
  return "Install one: sudo apt install python3 python3-venv (Debian 12+, Ubuntu 24.04+), sudo dnf install python3 (Fedora), sudo pacman -S python (Arch).";
}
