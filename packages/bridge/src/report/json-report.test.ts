import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { arbitraryReport, exampleReport } from "../testing/parity-reports.ts";
import { readParityReport, writeJsonReport } from "./json-report.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-report-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

it("reads back what it wrote, whatever it is", async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryReport, async (report) => {
      const path = await writeJsonReport(folder, report);
      expect(path).toBe(join(folder, "report.json"));
      expect(await readParityReport(path)).toEqual(report);
    }),
    { numRuns: 50 },
  );
});

it("writes nothing that it could not read back", async () => {
  const report = exampleReport([{ name: "a", steps: 2 }]);
  report.cases[0]!.steps[1]!.stages[3]!.multiple = Number.NaN;
  await expect(writeJsonReport(folder, report)).rejects.toMatchObject({
    code: "invalid-report",
    message: expect.stringContaining("cases[0].steps[1].stages[3].multiple: "),
  });
  expect(await readdir(folder)).toEqual([]);
});

describe("readParityReport", () => {
  async function refusal(content: string) {
    const path = join(folder, "report.json");
    await writeFile(path, content);
    return readParityReport(path).catch((reason: unknown) => reason);
  }
  const valid = JSON.stringify(exampleReport([{ name: "a", steps: 1 }]));

  it("says which version a report of another version has", async () => {
    expect(await refusal(valid.replace('"version":1', '"version":2'))).toMatchObject({
      code: "invalid-report",
      facts: { version: 2, path: join(folder, "report.json") },
      message: expect.stringContaining("is a report of version 2, this gradbank reads version 1"),
    });
  });

  it("refuses a file that was cut off anywhere", async () => {
    for (let length = 0; length < valid.length; length += Math.ceil(valid.length / 40)) {
      const message = expect.stringContaining("report.json: is not JSON: ");
      expect(await refusal(valid.slice(0, length))).toMatchObject({ code: "invalid-report", message });
    }
  });

  it("says where a report is wrong", async () => {
    const errors = [
      [valid.replace('"equal":true', '"equal":"yes"'), "cases[0].configuration.equal: "],
      [valid.replace('"suite":', '"sweet":'), "suite: "],
      ["[1, 2]", "is no parity report: "],
      ["null", "is no parity report: "],
    ] as const;
    for (const [content, part] of errors) {
      const message = expect.stringContaining(part);
      expect(await refusal(content)).toMatchObject({ code: "invalid-report", message });
    }
  });

  it("says that a file is not there", async () => {
    await expect(readParityReport(join(folder, "none.json"))).rejects.toMatchObject({
      code: "invalid-report",
      message: expect.stringMatching(/none\.json: cannot be read: ENOENT.*Name a report\.json\./),
    });
  });
});
