import { join } from "node:path";
import { runAttached, runLogged } from "./processes.mjs";
import { withProgress } from "./progress.mjs";
import { programEnvironment, repositoryRoot, setupLogFolder } from "./repository.mjs";
import { SetupError } from "./setup-error.mjs";

const launcher = join(repositoryRoot, "node_modules", "turbo", "bin", "turbo");

/** Turbo must neither report usage nor look for its own updates; npm must not warn about .npmrc before every task. */
function turboEnvironment() {
  return {
    npm_config_loglevel: "error",
    ...programEnvironment(),
    TURBO_TELEMETRY_DISABLED: "1",
    DO_NOT_TRACK: "1",
    TURBO_NO_UPDATE_NOTIFIER: "1",
  };
}

/**
 * Runs turbo on this process's own output and returns its exit status.
 *
 * @param {string[]} turboArguments for example `["run", "test"]`
 */
export function runTurbo(turboArguments) {
  return runAttached(process.execPath, [launcher, ...turboArguments], {
    cwd: repositoryRoot,
    environment: turboEnvironment(),
  });
}

/** Builds every package (from turbo's cache where nothing changed). Throws `SetupError` "step-failed", "interrupted". */
export async function buildPackages() {
  const logFile = join(setupLogFolder, "build.log");
  await withProgress("Building the packages", async (showOutput) => {
    const run = await runLogged(
      process.execPath,
      [launcher, "run", "build", "--output-logs=errors-only", "--log-order=grouped"],
      {
        cwd: repositoryRoot,
        environment: turboEnvironment(),
        logFile,
        showOutput,
      },
    );
    if (run.code !== 0) {
      throw new SetupError(
        "step-failed",
        `The build failed:\n\n${run.output.split("\n").slice(-60).join("\n")}\n\nThe whole output: ${logFile}`,
      );
    }
  });
}
