import { join } from "node:path";
import { htmlReport } from "./html-report.ts";
import { writeJsonReport } from "./json-report.ts";
import { junitXml } from "./junit-report.ts";
import type { ParityReport } from "./parity-report.ts";
import { writeWholeFile } from "./write-whole-file.ts";

/** Where the reports are. */
export interface ReportPaths {
  /** One page for people. */
  readonly html: string;
  /** Everything, for programs. */
  readonly json: string;
  /** For build servers. */
  readonly junit: string;
}

/**
 * Writes `report.html`, `junit.xml` and `report.json` into a folder, each whole or not at all; those of an earlier run
 * are replaced. The folder is made if need be.
 *
 * @throws BridgeError `report-not-written` when the disk refuses, `invalid-report` as `writeJsonReport` does.
 */
export async function writeReports(folder: string, report: ParityReport): Promise<ReportPaths> {
  const paths = { html: join(folder, "report.html"), junit: join(folder, "junit.xml") };
  await writeWholeFile(paths.html, htmlReport(report));
  await writeWholeFile(paths.junit, junitXml(report));
  return { ...paths, json: await writeJsonReport(folder, report) };
}
