import type { CaseReport, ParityReport, StageReport } from "./parity-report.ts";
import { stagesOf } from "./report-summary.ts";
import { stageLine, tensorLine, worstFirst } from "./tensor-text.ts";

/** Tensors written out in a failure; the others are counted. */
const listedTensors = 10;

/**
 * The report as JUnit XML, which build servers read: a suite for each case, in it a test for each stage of each step. A
 * stage that differs is a failure with its worst tensors; a case that could not be compared has a test `comparison` with
 * an error. Stages are not timed by themselves: a step's seconds are shared out evenly.
 */
export function junitXml(report: ParityReport): string {
  const suites = report.cases.map(testSuite);
  const sum = (key: "tests" | "failures" | "errors") => suites.reduce((total, suite) => total + suite[key], 0);
  const attributes = { name: report.suite, tests: sum("tests"), failures: sum("failures"), errors: sum("errors") };
  const start = tag("testsuites", { ...attributes, time: time(report.seconds), timestamp: report.started });
  return `<?xml version="1.0" encoding="UTF-8"?>\n${start}\n${suites.map(({ xml }) => xml).join("")}</testsuites>\n`;
}

interface TestSuite {
  readonly xml: string;
  readonly tests: number;
  readonly failures: number;
  readonly errors: number;
}

function testSuite(report: CaseReport): TestSuite {
  const secondsOfStage = new Map(
    report.steps.map(({ step, seconds, stages }) => [
      step,
      (seconds.ours + seconds.reference + seconds.comparison) / stages.length,
    ]),
  );
  const placed = stagesOf(report);
  const tests = placed.map(({ step, stage }) => {
    const name = step === 0 ? stage.stage : `step ${step}: ${stage.stage}`;
    return testCase(report.name, name, secondsOfStage.get(step) ?? 0, stage.equal ? "" : failure(stage));
  });
  const errors = report.error === undefined && report.verdict !== "could-not-compare" ? 0 : 1;
  if (errors > 0) tests.push(testCase(report.name, "comparison", 0, errorElement(report)));

  const failures = placed.filter(({ stage }) => !stage.equal).length;
  const counts = { tests: tests.length, failures, errors };
  const start = tag("testsuite", { name: report.name, ...counts, skipped: 0, time: time(report.seconds) });
  return { ...counts, xml: `${start}\n${properties(report)}${tests.join("")}</testsuite>\n` };
}

function properties({ mode, reference, environment }: CaseReport): string {
  const values = [
    ["mode", mode],
    ["reference", reference],
    ...Object.entries(environment.ours).map(([name, value]) => [`ours.${name}`, value] as const),
    ...Object.entries(environment.reference).map(([name, value]) => [`reference.${name}`, value] as const),
  ] as const;
  return `<properties>\n${values.map(([name, value]) => tag("property", { name, value }, "/")).join("\n")}\n</properties>\n`;
}

function testCase(classname: string, name: string, seconds: number, content: string): string {
  const attributes = { classname, name, time: time(seconds) };
  return content === ""
    ? `${tag("testcase", attributes, "/")}\n`
    : `${tag("testcase", attributes)}${content}</testcase>\n`;
}

function failure(stage: StageReport): string {
  const different = worstFirst(stage.tensors).filter(({ equal }) => !equal);
  const left = different.length - listedTensors;
  const lines = [...different.slice(0, listedTensors).map(tensorLine), ...(left > 0 ? [`and ${left} more`] : [])];
  return `${tag("failure", { message: stageLine(stage), type: "different" })}${escapeText(lines.join("\n"))}</failure>`;
}

function errorElement({ error }: CaseReport): string {
  const { code, message } = error ?? { code: "could-not-compare", message: "No step was compared." };
  const line = message.split("\n")[0] ?? "";
  return `${tag("error", { message: line, type: code })}${escapeText(message)}</error>`;
}

function time(seconds: number): string {
  return seconds.toFixed(6);
}

function tag(name: string, attributes: Readonly<Record<string, string | number>>, end: "" | "/" = ""): string {
  const pairs = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeAttribute(String(value))}"`);
  return `<${name}${pairs.join("")}${end}>`;
}

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Escapes text for content; what XML 1.0 cannot hold at all becomes U+FFFD. */
function escapeText(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: XML 1.0 forbids exactly these.
      .replaceAll(/[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|\p{Surrogate}/gu, "\ufffd")
      .replaceAll(/[&<>"]/g, (character) => entities[character]!)
      .replaceAll("\r", "&#13;")
  );
}

/** Escapes text for an attribute, in which a parser takes line ends and tabs for spaces. */
function escapeAttribute(text: string): string {
  return escapeText(text).replaceAll("\n", "&#10;").replaceAll("\t", "&#9;");
}
