import "./node-version.mjs";
import { join } from "node:path";
import { install, runScript } from "./install.mjs";
import { runAttached } from "./processes.mjs";
import { programEnvironment, repositoryRoot } from "./repository.mjs";
import { buildPackages } from "./turbo.mjs";

await runScript(async () => {
  await install({ python: "required" });
  await buildPackages();
  const main = join(repositoryRoot, "test", "experiments", "main.ts");
  return runAttached(
    process.execPath,
    ["--import", "tsx", "--conditions=@gradbank/source", main, ...process.argv.slice(2)],
    { cwd: repositoryRoot, environment: programEnvironment() },
  );
});
