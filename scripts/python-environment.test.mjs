import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pinnedTorchVersion, stepError } from "./python-environment.mjs";
import { pythonFolder } from "./repository.mjs";

test("the torch that goes first is the one that the constraints pin", () => {
  assert.equal(pinnedTorchVersion("tokenizers==0.23.3\ntorch==2.13.0\ntorchvision==1.0\n"), "2.13.0");
  assert.equal(pinnedTorchVersion("torch==2.13.0 ; python_version > '3'\n"), "2.13.0");
  assert.throws(() => pinnedTorchVersion("# torch==2.13.0\ntorch>=2\n"), /must pin torch exactly/);
  const pyproject = readFileSync(join(pythonFolder, "pyproject.toml"), "utf8");
  const version = pinnedTorchVersion(readFileSync(join(pythonFolder, "constraints.txt"), "utf8"));
  assert.ok(pyproject.includes(`"torch==${version}"`), "pyproject.toml and constraints.txt name the same torch");
});

test("an unreachable index is named without its password; no wheel and other failures read otherwise", () => {
  const refused = [
    "Looking in indexes: http://me:secret@10.0.0.1:8080/simple",
    "WARNING: Retrying after connection broken by 'NewConnectionError': HTTPConnectionPool(host='10.0.0.1', port=8080): Max retries exceeded",
    "ERROR: No matching distribution found for torch==2.13.0",
  ].join("\n");
  const network = stepError("Installing torch", refused, "pip.log");
  assert.equal(network.code, "registry-unreachable");
  assert.match(network.message, /index 10\.0\.0\.1:8080 could not be used \(NewConnectionError\)/);
  assert.match(network.message, /PIP_INDEX_URL/);
  assert.ok(!network.message.includes("secret"));

  const noWheel = stepError("Installing torch", "ERROR: No matching distribution found for torch==2.13.0", "pip.log");
  assert.equal(noWheel.code, "step-failed");
  assert.match(noWheel.message, /no build of that torch for this Python.*\n.*GRADBANK_PYTHON/);

  const other = stepError("Installing torch", "ERROR: [Errno 28] No space left on device", "pip.log");
  assert.equal(other.code, "step-failed");
  assert.match(other.message, /Installing torch failed[\s\S]*No space left[\s\S]*pip\.log/);
});
