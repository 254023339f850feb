import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { exampleReport } from "../testing/parity-reports.ts";
import { htmlReport } from "./html-report.ts";
import { readParityReport } from "./json-report.ts";
import { junitXml } from "./junit-report.ts";
import { writeReports } from "./write-reports.ts";

it("writes the three reports and nothing else", async () => {
  const folder = await mkdtemp(join(tmpdir(), "gradbank-report-"));
  try {
    const report = exampleReport([{ name: "a", fault: { step: 2, stage: "loss" } }]);
    const out = join(folder, "out");
    const paths = await writeReports(out, report);
    expect((await readdir(out)).sort()).toEqual(["junit.xml", "report.html", "report.json"]);
    expect(await readFile(paths.html, "utf8")).toBe(htmlReport(report));
    expect(await readFile(paths.junit, "utf8")).toBe(junitXml(report));
    expect(await readParityReport(paths.json)).toEqual(report);
  } finally {
    await rm(folder, { recursive: true });
  }
});
