import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The root of the checkout. */
export const repositoryRoot = dirname(dirname(fileURLToPath(import.meta.url)));

/** The Python side: its sources, its pyproject and its virtual environment. */
export const pythonFolder = join(repositoryRoot, "python-ref");

/** The virtual environment that set-up creates and the parity tests use. */
export const virtualEnvironment = join(pythonFolder, ".venv");

/** Full output of the long set-up steps, one file a step. Outside node_modules, which `npm ci` deletes first. */
export const setupLogFolder = join(repositoryRoot, ".cache", "setup");

/**
 * The interpreter inside a virtual environment.
 *
 * @param {string} folder the virtual environment
 */
export function pythonOfEnvironment(folder) {
  return process.platform === "win32" ? join(folder, "Scripts", "python.exe") : join(folder, "bin", "python");
}

/**
 * The environment for gradbank's own programs: the caller's without GRADBANK_PYTHON. Set-up makes the virtual
 * environment from that Python; a program would take it for one that has the reference's packages. Without it programs
 * find the virtual environment themselves.
 *
 * @returns {NodeJS.ProcessEnv}
 */
export function programEnvironment() {
  const { GRADBANK_PYTHON: _chosenForSetup, ...environment } = process.env;
  return environment;
}
