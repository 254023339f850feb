import { describe, expect, it } from "vitest";
import { checkEndpoint } from "./endpoint.ts";

describe("checkEndpoint", () => {
  it.each([
    "ipc:///tmp/x",
    "ipc://x",
    "tcp://127.0.0.1:1",
    "tcp://127.9.9.9:1",
    "tcp://localhost:5555",
    "tcp://[::1]:5",
  ])("lets %s do without keys", (endpoint) => checkEndpoint(endpoint, false));

  it.each([
    "tcp://10.0.0.1:1",
    "tcp://example.org:1",
    "tcp://[fe80::1]:1",
    "tcp://127.example.org:1",
    "tcp://0.0.0.0:1",
  ])("wants keys for %s", (endpoint) => {
    expect(() => checkEndpoint(endpoint, false)).toThrow(
      expect.objectContaining({
        code: "insecure-endpoint",
        message: expect.stringContaining("gradbank bridge keys"),
        facts: { endpoint },
      }),
    );
    checkEndpoint(endpoint, true);
  });

  it.each(["", "ipc://", "/tmp/x", "inproc://x", "tcp://localhost", "tcp://:1", "tcp://a:b", "http://a:1"])(
    'says that "%s" is no endpoint',
    (endpoint) => {
      expect(() => checkEndpoint(endpoint, true)).toThrow(
        expect.objectContaining({
          code: "invalid-endpoint",
          message: expect.stringContaining(`"${endpoint}"; expected ipc://`),
        }),
      );
    },
  );
});
