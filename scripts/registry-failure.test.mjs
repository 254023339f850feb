import assert from "node:assert/strict";
import { test } from "node:test";
import { npmNetworkFailure, pipNetworkFailure, pipUnreachableHost, withoutCredentials } from "./registry-failure.mjs";

test("npm's network failures are told from its others", () => {
  assert.equal(npmNetworkFailure("npm error code ENOTFOUND\nnpm error network"), "ENOTFOUND");
  assert.equal(npmNetworkFailure("npm error code E401\nnpm error Incorrect or missing password."), "E401");
  assert.equal(
    npmNetworkFailure("npm error code EUSAGE\nnpm error `npm ci` can only install packages when"),
    undefined,
  );
  assert.equal(npmNetworkFailure("npm error code ENOSPC"), undefined);
});

test("pip's network failures are told from its others", () => {
  assert.ok(pipNetworkFailure("[Errno -2] Name or service not known"));
  assert.ok(pipNetworkFailure("SSLCertVerificationError: certificate verify failed: self signed"));
  assert.ok(pipNetworkFailure("ERROR: HTTP error 403 Client Error: Forbidden for url"));
  assert.equal(pipNetworkFailure("ERROR: No matching distribution found for torch==2.13.0"), undefined);
  assert.equal(pipNetworkFailure("error: command 'gcc' failed"), undefined);
});

test("the host is found and credentials are not shown", () => {
  assert.equal(
    pipUnreachableHost("HTTPSConnectionPool(host='example.test', port=443): Max retries"),
    "example.test:443",
  );
  assert.equal(pipUnreachableHost("HTTPConnection(host='example.test', port=80)"), "example.test:80");
  assert.equal(pipUnreachableHost("nothing"), undefined);
  assert.equal(
    withoutCredentials("see https://me:secret@example.test/simple now"),
    "see https://example.test/simple now",
  );
});
