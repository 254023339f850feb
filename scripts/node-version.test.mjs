import assert from "node:assert/strict";
import { test } from "node:test";
import { isSupportedNodeVersion } from "./node-version.mjs";

test("20.19 is the oldest Node that is taken", () => {
  for (const version of ["20.19.0", "20.20.2", "21.0.0", "22.1.0", "100.0.0"]) {
    assert.equal(isSupportedNodeVersion(version), true, version);
  }
  for (const version of ["0.12.18", "18.20.4", "20.9.0", "20.18.9"]) {
    assert.equal(isSupportedNodeVersion(version), false, version);
  }
});
