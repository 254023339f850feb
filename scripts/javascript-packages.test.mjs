import assert from "node:assert/strict";
import { test } from "node:test";
import { differencesFromLockFile } from "./javascript-packages.mjs";

const wanted = {
  packages: {
    "": { version: "0.0.0" },
    "packages/core": { version: "0.0.0" },
    "packages/core/node_modules/zod": { version: "3.0.0" },
    "node_modules/zod": { version: "4.6.7" },
    "node_modules/@gradbank/core": { link: true },
    "node_modules/@turbo/windows-64": { version: "2.11.11", optional: true },
  },
};

/** @param {Record<string, object>} packages */
const installed = (packages) => ({ packages });
const complete = {
  "node_modules/zod": { version: "4.6.7" },
  "packages/core/node_modules/zod": { version: "3.0.0" },
  "node_modules/@gradbank/core": { link: true },
};

test("a complete tree differs in nothing, with and without other platforms' packages", () => {
  assert.deepEqual(differencesFromLockFile(wanted, installed(complete)), []);
  const withOptional = { ...complete, "node_modules/@turbo/windows-64": { version: "2.11.11" } };
  assert.deepEqual(differencesFromLockFile(wanted, installed(withOptional)), []);
});

test("a missing package, an old one, an old optional one and a missing nested one are named", () => {
  const without = (/** @type {keyof typeof complete} */ name) => {
    const { [name]: _left, ...rest } = complete;
    return rest;
  };
  assert.deepEqual(differencesFromLockFile(wanted, installed(without("node_modules/zod"))), [
    "node_modules/zod: 4.6.7 wanted, nothing installed",
  ]);
  assert.deepEqual(
    differencesFromLockFile(wanted, installed({ ...complete, "node_modules/zod": { version: "4.6.6" } })),
    ["node_modules/zod: 4.6.7 wanted, 4.6.6 installed"],
  );
  const oldOptional = { ...complete, "node_modules/@turbo/windows-64": { version: "2.0.0" } };
  assert.equal(differencesFromLockFile(wanted, installed(oldOptional)).length, 1);
  assert.equal(differencesFromLockFile(wanted, installed(without("packages/core/node_modules/zod"))).length, 1);
  assert.equal(differencesFromLockFile(wanted, installed(without("node_modules/@gradbank/core"))).length, 1);
  assert.equal(differencesFromLockFile(wanted, {}).length, 3);
});
