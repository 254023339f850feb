import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { findPython, pythonCandidates } from "./python-interpreter.mjs";

const folder = mkdtempSync(join(tmpdir(), "gradbank-python-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let places = 0;

/**
 * A PATH with stand-ins for Python that answer as the given versions would.
 *
 * @param {Record<string, { version?: number[], missing?: string[], fails?: boolean }>} commands
 */
function environmentWith(commands) {
  const place = join(folder, String(places++));
  mkdirSync(place);
  for (const [name, { version = [3, 12, 1], missing = [], fails = false }] of Object.entries(commands)) {
    const answer = JSON.stringify({ version, executable: `/real/${name}`, missing });
    writeFileSync(
      join(place, name),
      fails ? "#!/bin/sh\necho 'not installed' >&2\nexit 127\n" : `#!/bin/sh\necho '${answer}'\n`,
    );
    chmodSync(join(place, name), 0o755);
  }
  return { PATH: place };
}

/** @param {() => unknown} action */
function errorOf(action) {
  try {
    action();
  } catch (error) {
    return /** @type {Error & { code: string }} */ (error);
  }
  throw new Error("nothing was thrown");
}

const skip = process.platform === "win32" ? "the stand-ins are shell scripts" : false;

test("the newest known version goes first; broken shims and old ones are passed over", { skip }, () => {
  const found = findPython(
    environmentWith({
      "python3.13": { fails: true },
      "python3.12": { version: [3, 12, 4] },
      python3: { version: [3, 14, 0] },
    }),
  );
  assert.deepEqual(found, { command: "python3.12", executable: "/real/python3.12", version: "3.12.4" });
  const plain = findPython(environmentWith({ python3: { version: [3, 9, 2] }, python: { version: [3, 11, 0] } }));
  assert.equal(plain.command, "python");
});

test("one without venv is passed over for one with it", { skip }, () => {
  const found = findPython(
    environmentWith({ "python3.12": { missing: ["ensurepip"] }, "python3.11": { version: [3, 11, 2] } }),
  );
  assert.equal(found.command, "python3.11");
});

test("only one without venv: says which package brings it", { skip }, () => {
  const error = errorOf(() =>
    findPython(environmentWith({ python3: { version: [3, 11, 2], missing: ["ensurepip"] } }), "linux"),
  );
  assert.equal(error.code, "python-unusable");
  assert.match(error.message, /python3 is Python 3\.11\.2, but it lacks ensurepip/);
  assert.match(error.message, /apt install python3\.11-venv/);
});

test("none, or only old ones: says what was found and how to get one", { skip }, () => {
  const none = errorOf(() => findPython(environmentWith({}), "darwin"));
  assert.equal(none.code, "python-missing");
  assert.match(none.message, /needs Python 3\.11 or newer.*None was found/);
  assert.match(none.message, /brew install/);
  const old = errorOf(() =>
    findPython(environmentWith({ python3: { version: [3, 10, 9] }, python: { version: [2, 7, 18] } }), "linux"),
  );
  assert.match(old.message, /python3 is Python 3\.10\.9; python is Python 2\.7\.18/);
  assert.match(old.message, /apt install/);
});

test("GRADBANK_PYTHON is the only one that is tried, and must work", { skip }, () => {
  const environment = environmentWith({ python3: {}, mine: { version: [3, 13, 1] }, broken: { fails: true } });
  assert.equal(findPython({ ...environment, GRADBANK_PYTHON: join(environment.PATH, "mine") }).version, "3.13.1");
  const error = errorOf(() => findPython({ ...environment, GRADBANK_PYTHON: join(environment.PATH, "broken") }));
  assert.equal(error.code, "python-unusable");
  assert.match(error.message, /GRADBANK_PYTHON is .*broken, which does not run as Python: not installed/);
});

test("Windows has its launcher, others do not", () => {
  assert.deepEqual(pythonCandidates({}, "win32").at(-1), { command: "py", leading: ["-3"] });
  assert.ok(pythonCandidates({}, "linux").every(({ command }) => command !== "py"));
});
