import "./node-version.mjs";
import { join } from "node:path";
import { install, runScript } from "./install.mjs";
import { runAttached } from "./processes.mjs";
import { say } from "./progress.mjs";
import { programEnvironment, repositoryRoot } from "./repository.mjs";
import { buildPackages } from "./turbo.mjs";

await runScript(async () => {
  const { withoutPython } = await install({ python: "optional" });
  if (withoutPython !== undefined) {
    say(`\n${withoutPython}\n\nTraining goes on without Python; the comparison with it will be skipped.\n`);
  }
  await buildPackages();
  const main = join(repositoryRoot, "packages", "cli", "dist", "main.js");
  const code = await runAttached(process.execPath, [main, "quickstart", ...process.argv.slice(2)], {
    cwd: repositoryRoot,
    environment: programEnvironment(),
  });
  if (withoutPython !== undefined && code === 0) {
    say(
      "\nParity with Python was skipped: the Python side is not set up (the reason is above). After mending it: npm start.",
    );
  }
  return code;
});
