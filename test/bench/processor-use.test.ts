import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpus } from "node:os";
import { expect, test } from "vitest";
import { watchOtherPrograms } from "./processor-use.ts";

test.runIf(process.platform === "linux")(
  "counts what others compute and not what the process itself does",
  async () => {
    const other = spawn(process.execPath, ["-e", "for (;;);"]);
    try {
      await once(other, "spawn");
      const aroundThis = watchOtherPrograms(process.pid);
      const aroundOther = watchOtherPrograms(other.pid!);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const [withOther, without] = [aroundThis()!, aroundOther()!];
      // One processor of all, less what a busy machine takes from it.
      expect(withOther).toBeGreaterThan(0.3 / cpus().length);
      expect(withOther - without).toBeGreaterThan(0.2 / cpus().length);
    } finally {
      other.kill("SIGKILL");
    }
    expect(watchOtherPrograms(2 ** 30)()).toBeUndefined();
  },
);
