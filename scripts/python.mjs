import "./node-version.mjs";
import { existsSync } from "node:fs";
import { runScript } from "./install.mjs";
import { runAttached } from "./processes.mjs";
import { pythonFolder, pythonOfEnvironment, virtualEnvironment } from "./repository.mjs";
import { SetupError } from "./setup-error.mjs";

await runScript(async () => {
  const python = pythonOfEnvironment(virtualEnvironment);
  if (!existsSync(python)) {
    throw new SetupError("python-missing", `${python} does not exist. Run npm run setup first.`);
  }
  return runAttached(python, process.argv.slice(2), {
    cwd: process.cwd(),
    environment: { ...process.env, PYTHONPATH: pythonFolder, HF_HUB_OFFLINE: "1" },
  });
});
