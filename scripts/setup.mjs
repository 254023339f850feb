import "./node-version.mjs";
import { install, runScript } from "./install.mjs";
import { say } from "./progress.mjs";
import { buildPackages } from "./turbo.mjs";

await runScript(async () => {
  await install({ python: "required" });
  await buildPackages();
  say("gradbank is set up. Train: npm start. Test: npm test.");
  return 0;
});
