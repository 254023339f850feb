import { installJavaScriptPackages } from "./javascript-packages.mjs";
import { say } from "./progress.mjs";
import { installPythonEnvironment } from "./python-environment.mjs";
import { SetupError } from "./setup-error.mjs";

/**
 * Installs what a checkout needs: npm packages and the Python environment. Each part is skipped when it is done
 * already, and each can be interrupted and run again.
 *
 * @param {{ python: "required" | "optional" }} options "optional": a Python side that cannot be set up is returned as
 * the reason instead of being thrown
 * @returns {Promise<{ withoutPython: string | undefined }>} why there is no Python side; undefined when there is one
 */
export async function install(options) {
  await installJavaScriptPackages();
  let withoutPython;
  try {
    await installPythonEnvironment();
  } catch (error) {
    if (options.python === "required" || !(error instanceof SetupError) || error.code === "interrupted") {
      throw error;
    }
    withoutPython = error.message;
  }
  return { withoutPython };
}

/**
 * Runs an entry script and turns what it throws into a message and an exit status: a `SetupError` is for the person
 * and is shown without a stack, anything else is a fault of ours and is shown whole.
 *
 * @param {() => Promise<number>} script returns the exit status
 */
export async function runScript(script) {
  try {
    process.exitCode = await script();
  } catch (error) {
    if (error instanceof SetupError) {
      say(`\n${error.message}`);
      process.exitCode = "exitCode" in error ? Number(error.exitCode) : 1;
    } else {
      throw error;
    }
  }
}
