import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { expect, it } from "vitest";
import { findPythonEnvironment } from "../python/python-environment.ts";
import { arbitraryReport, exampleReport } from "../testing/parity-reports.ts";
import { junitXml } from "./junit-report.ts";
import type { ParityReport } from "./parity-report.ts";
import { stagesOf } from "./report-summary.ts";

interface Element {
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly text: string | null;
  readonly children: readonly Element[];
}

const parser = `
import json, sys
from xml.etree import ElementTree
def plain(e):
    return {"tag": e.tag, "attributes": e.attrib, "text": e.text, "children": [plain(c) for c in e]}
documents = json.load(sys.stdin)
print(json.dumps([plain(ElementTree.fromstring(d.encode())) for d in documents]))
`;

/** What Python's XML parser reads of documents; it refuses what is not well-formed. */
function parsed(documents: readonly string[]): Element[] {
  const { python } = findPythonEnvironment();
  const options = { input: JSON.stringify(documents), maxBuffer: 2 ** 28, encoding: "utf8" } as const;
  return JSON.parse(execFileSync(python, ["-c", parser], options));
}

const find = (element: Element, tag: string) => element.children.filter((child) => child.tag === tag);

/** The text as XML 1.0 can hold it, written without regular expressions. */
function legible(text: string): string {
  return [...text]
    .map((character) => {
      const code = character.codePointAt(0)!;
      const isLegal =
        code === 9 ||
        code === 10 ||
        code === 13 ||
        (code >= 32 && code < 0xd800) ||
        (code >= 0xe000 && code < 0xfffe) ||
        code > 0xffff;
      return isLegal ? character : "\ufffd";
    })
    .join("");
}

it("is well-formed and complete for any report", () => {
  const reports: ParityReport[] = fc.sample(arbitraryReport, 200);
  for (const [index, root] of parsed(reports.map(junitXml)).entries()) {
    const report = reports[index]!;
    expect(root).toMatchObject({ tag: "testsuites", attributes: { name: legible(report.suite) } });
    const suites = find(root, "testsuite");
    expect(suites.map(({ attributes }) => attributes.name)).toEqual(report.cases.map(({ name }) => legible(name)));
    let [tests, failures, errors] = [0, 0, 0];
    for (const [place, suite] of suites.entries()) {
      const { verdict, name, error } = report.cases[place]!;
      const placed = stagesOf(report.cases[place]!);
      const cases = find(suite, "testcase");
      const hasError = verdict === "could-not-compare" || error !== undefined;
      expect(cases.map(({ attributes }) => attributes.name)).toEqual([
        ...placed.map(({ step, stage }) => (step === 0 ? stage.stage : `step ${step}: ${stage.stage}`)),
        ...(hasError ? ["comparison"] : []),
      ]);
      expect(cases.every(({ attributes }) => attributes.classname === legible(name))).toBe(true);
      const failed = cases.map((one) => find(one, "failure").length);
      expect(failed.slice(0, placed.length)).toEqual(placed.map(({ stage }) => (stage.equal ? 0 : 1)));
      const counts = [cases.length, failed.reduce((a, b) => a + b, 0), hasError ? 1 : 0] as const;
      expect(["tests", "failures", "errors"].map((key) => Number(suite.attributes[key]))).toEqual(counts);
      if (error !== undefined) expect(find(cases.at(-1)!, "error")[0]!.text ?? "").toBe(legible(error.message));
      [tests, failures, errors] = [tests + counts[0], failures + counts[1], errors + counts[2]];
    }
    expect(["tests", "failures", "errors"].map((key) => Number(root.attributes[key]))).toEqual([
      tests,
      failures,
      errors,
    ]);
  }
});

it("names the stage in the message, and the worst tensors with their numbers in the body", () => {
  const report = exampleReport([
    { name: "both", steps: 2, fault: { step: 2, stage: "parameter-gradients" } },
    { name: "lost", steps: 1, error: { code: "connection-lost", message: "The server ended.\nTraceback" } },
  ]);
  const [root] = parsed([junitXml(report)]);
  const [both, lost] = find(root!, "testsuite");
  const failed = find(both!, "testcase").filter((one) => find(one, "failure").length > 0);
  expect(failed.map(({ attributes }) => attributes.name)).toEqual(
    ["parameter-gradients", "clip-norm", "moments", "weights"].map((stage) => `step 2: ${stage}`),
  );
  const stage = report.cases[0]!.steps[1]!.stages.find(({ stage }) => stage === "parameter-gradients")!;
  const [failure] = find(failed[0]!, "failure");
  expect(failure!.attributes.message).toContain(`15 of 37 tensors differ; worst is ${stage.worst}: `);
  const lines = failure!.text!.split("\n");
  expect(lines).toHaveLength(11);
  expect(lines[0]).toMatch(
    new RegExp(`^${stage.worst} \\[384, 384\\]: .* times the noise floor \\(limit 8\\); worst at `),
  );
  expect(lines[10]).toBe("and 5 more");
  const [error] = find(find(lost!, "testcase").at(-1)!, "error");
  expect(error).toMatchObject({ attributes: { type: "connection-lost", message: "The server ended." } });
});

it("shares out a step's seconds among its stages", () => {
  const report = exampleReport([{ name: "a", steps: 3 }]);
  const [root] = parsed([junitXml(report)]);
  const [suite] = find(root!, "testsuite");
  const sum = find(suite!, "testcase").reduce((total, { attributes }) => total + Number(attributes.time), 0);
  const expected = report.cases[0]!.steps.reduce(
    (total, { seconds }) => total + seconds.ours + seconds.reference + seconds.comparison,
    0,
  );
  expect(sum).toBeCloseTo(expected, 4);
});
