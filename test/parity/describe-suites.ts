import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { prepareWithPython, Reference, readSuite, runCase, type ShippedSuite } from "@gradbank/bridge";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectComplete } from "./expect-complete.ts";

// More than one: operators that lose updates between threads must be seen.
const threads = Math.max(2, availableParallelism());
const cacheFolder = fileURLToPath(new URL("../../.cache/parity", import.meta.url));

/** Declares a test for each case of some suites: every step must be compared whole, and be equal. */
export async function describeSuites(chosen: readonly ShippedSuite[]): Promise<void> {
  const suites = await Promise.all(chosen.map(({ path }) => readSuite(path)));
  let reference: Reference;
  beforeAll(async () => {
    reference = await Reference.start({ threads: 1 });
  });
  afterAll(() => reference?.close());

  describe.each(suites)("suite $name", ({ cases }) => {
    it.each(cases)("$name", { timeout: 1_200_000 }, async (settings) => {
      const report = await runCase(settings, () => prepareWithPython(settings, { reference, cacheFolder }), {
        threads,
      });
      expect(report.error).toBeUndefined();
      const { firstDivergence: first } = report;
      expect(first && `step ${first.step}, ${first.stage}: ${first.message}`).toBeUndefined();
      expect(report.verdict).toBe("equal");
      expectComplete(report, settings);
    });
  });
}
