import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BridgeError } from "../errors.ts";

/** Where the Python side lives. */
export interface PythonEnvironment {
  /** The interpreter: a path, or a name to be found on PATH. */
  readonly python: string;
  /** The folder `python-ref`, to be importable. */
  readonly referenceFolder: string;
}

/**
 * Finds `python-ref` and its interpreter.
 *
 * The folder is looked for upwards from `from`. The interpreter is `python` if given, else the virtual environment
 * `python-ref/.venv` that `npm run setup` makes.
 *
 * @throws BridgeError "reference-missing" or "python-missing"
 */
export function findPythonEnvironment(
  python?: string,
  from: string = dirname(fileURLToPath(import.meta.url)),
): PythonEnvironment {
  const referenceFolder = findReferenceFolder(from);
  if (python) return { python, referenceFolder };
  const own =
    process.platform === "win32"
      ? join(referenceFolder, ".venv", "Scripts", "python.exe")
      : join(referenceFolder, ".venv", "bin", "python");
  if (!existsSync(own)) {
    throw new BridgeError(
      "python-missing",
      `There is no Python environment at ${own}. Run "npm run setup" in the repository to make it, or pass the ` +
        "`python` option: an interpreter that has gradbank-ref's dependencies.",
      { path: own },
    );
  }
  return { python: own, referenceFolder };
}

function findReferenceFolder(from: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, "python-ref");
    if (existsSync(join(candidate, "pyproject.toml"))) return candidate;
    if (dirname(folder) === folder) {
      throw new BridgeError(
        "reference-missing",
        `No folder above ${from} has python-ref/pyproject.toml. The Python reference comes with gradbank's ` +
          "repository, not with the npm package: clone the repository to compare with Python.",
        { from },
      );
    }
  }
}
