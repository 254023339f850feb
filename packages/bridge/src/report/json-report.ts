import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { BridgeError } from "../errors.ts";
import { type ParityReport, parityReportSchema, parityReportVersion } from "./parity-report.ts";
import { writeWholeFile } from "./write-whole-file.ts";

/** Name of the JSON report in its folder. */
export const jsonReportName = "report.json";

/**
 * Writes `report.json` into a folder, whole or not at all.
 *
 * @returns Its path.
 * @throws BridgeError `invalid-report` when the report could not be read back, NaN where a number belongs for one.
 */
export async function writeJsonReport(folder: string, report: ParityReport): Promise<string> {
  const path = join(folder, jsonReportName);
  const { error } = parityReportSchema.safeParse(report);
  if (error !== undefined) {
    const message = `${path} was not written, for it could not be read back: ${firstIssue(error)}. This is a fault of gradbank: please report it.`;
    throw new BridgeError("invalid-report", message, { path }, { cause: error });
  }
  await writeWholeFile(path, `${JSON.stringify(report)}\n`);
  return path;
}

/**
 * Reads a `report.json`.
 *
 * @throws BridgeError `invalid-report` when the file cannot be read, is no JSON, of another version or not a report.
 */
export async function readParityReport(path: string): Promise<ParityReport> {
  const refuse = (what: string, next: string, facts: Record<string, unknown> = {}, cause?: unknown) =>
    new BridgeError("invalid-report", `${path}: ${what}. ${next}`, { path, ...facts }, { cause });
  const again = "Write it again with `gradbank parity --report`.";

  let content: unknown;
  try {
    content = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    if (cause instanceof SyntaxError) throw refuse(`is not JSON: ${what}`, again, {}, cause);
    throw refuse(`cannot be read: ${what}`, `Name a ${jsonReportName}.`, {}, cause);
  }
  const version = versionOf(content);
  if (version !== undefined && version !== parityReportVersion) {
    const what = `is a report of version ${JSON.stringify(version)}, this gradbank reads version ${parityReportVersion}`;
    throw refuse(what, "Read it with the gradbank that wrote it, or write it again with this one.", { version });
  }
  const { data, error } = parityReportSchema.safeParse(content);
  if (error !== undefined) throw refuse(`is no parity report: ${firstIssue(error)}`, again, {}, error);
  return data;
}

function versionOf(content: unknown): unknown {
  return typeof content === "object" && content !== null && "version" in content ? content.version : undefined;
}

/** Where the first fault is and what it is: `cases[0].steps: expected array, received string`. */
function firstIssue(error: z.ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return error.message;
  const place = z.core.toDotPath(issue.path);
  return place === "" ? issue.message : `${place}: ${issue.message}`;
}
