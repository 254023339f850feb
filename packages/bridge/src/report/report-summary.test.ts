import fc from "fast-check";
import { expect, it } from "vitest";
import { stageOrder } from "../lockstep/stages.ts";
import { arbitraryReport, exampleReport } from "../testing/parity-reports.ts";
import { verdicts } from "./parity-report.ts";
import {
  countReport,
  firstDivergence,
  nearestToLimit,
  reportVerdict,
  stagesOf,
  verdictSentence,
} from "./report-summary.ts";

const report = exampleReport([
  { name: "clean", steps: 3 },
  { name: "late", steps: 4, fault: { step: 3, stage: "tokens" } },
  { name: "weights", steps: 4, fault: { step: 2, stage: "weights" } },
  { name: "loss", steps: 4, fault: { step: 2, stage: "loss" } },
  { name: "lost", steps: 1, error: { code: "connection-lost", message: "The server ended." } },
]);

it("takes a difference for the verdict before a case that could not be compared, and nothing for no verdict", () => {
  const cases = fc.array(fc.record({ verdict: fc.constantFrom(...verdicts) }), { maxLength: 6 });
  fc.assert(
    fc.property(cases, (cases) => {
      const found = cases.map(({ verdict }) => verdict);
      const expected = found.includes("different")
        ? "different"
        : found.length > 0 && found.every((verdict) => verdict === "equal")
          ? "equal"
          : "could-not-compare";
      expect(reportVerdict(cases)).toBe(expected);
    }),
  );
});

it("counts cases, steps, stages and tensors", () => {
  const perStep = 2 + 2 + 1 + 1 + 1 + 2 + 2 + 2 + 37 + 1 + 74 + 37;
  expect(countReport(report)).toEqual({
    cases: { equal: 1, different: 3, "could-not-compare": 1 },
    steps: 16,
    stages: 16 * 12 + 5,
    tensors: 16 * perStep + 5 * 4,
  });
});

it("finds the divergence of the lowest step, there of the earliest stage", () => {
  expect(firstDivergence(report)).toMatchObject({ case: { name: "loss" }, divergence: { step: 2, stage: "loss" } });
  expect(firstDivergence(exampleReport([{ name: "clean" }]))).toBeUndefined();
  fc.assert(
    fc.property(arbitraryReport, ({ cases }) => {
      const first = firstDivergence({ cases });
      for (const { firstDivergence: other } of cases) {
        if (other === undefined) continue;
        const [a, b] = [first!.divergence, other];
        expect(a.step < b.step || (a.step === b.step && stageOrder(a.stage) <= stageOrder(b.stage))).toBe(true);
      }
      expect(first === undefined).toBe(cases.every((one) => one.firstDivergence === undefined));
    }),
  );
});

it("finds the equal stage that was nearest to its limit", () => {
  const nearest = nearestToLimit(report)!;
  const shares = report.cases.flatMap((one) =>
    stagesOf(one)
      .filter(({ stage }) => stage.equal)
      .flatMap(({ stage }) => stage.tensors.map(({ multiple, limit }) => (limit === 0 ? 0 : multiple! / limit))),
  );
  expect(nearest.multiple / nearest.limit).toBe(Math.max(...shares));
  const place = stagesOf(nearest.case).find(
    ({ step, stage }) => step === nearest.step && stage.stage === nearest.stage,
  )!;
  expect(place.stage).toMatchObject({ equal: true, worst: nearest.tensor, multiple: nearest.multiple });
  expect(nearestToLimit({ cases: [] })).toBeUndefined();
});

it("says the verdict in one sentence", () => {
  const sentence = (...cases: Parameters<typeof exampleReport>[0]) => verdictSentence(exampleReport(cases));
  const fault = { step: 2, stage: "loss" } as const;
  const error = { code: "connection-lost", message: "The server ended." };
  expect(sentence({ name: "a", steps: 1 })).toBe("Equal to the reference in 1 case, 1 step and 166 tensors.");
  expect(sentence({ name: "a", fault }, { name: "b" })).toBe("Different from the reference in 1 of 2 cases.");
  expect(sentence({ name: "a", fault }, { name: "b", error })).toBe(
    "Different from the reference in 1 of 2 cases; 1 could not be compared.",
  );
  expect(sentence({ name: "a" }, { name: "b", error })).toBe("Could not compare 1 of 2 cases.");
  expect(sentence()).toBe("Nothing was compared.");
});
