import fc from "fast-check";
import { expect, it } from "vitest";
import { arbitraryReport, exampleReport } from "../../testing/parity-reports.ts";
import type { ParityReport } from "../parity-report.ts";
import { tensorCells, worstFirst } from "../tensor-text.ts";
import { heatLevel } from "./heat-level.ts";
import { pageData } from "./page-data.ts";

/** Stages by column of the strip, the configuration before the steps. */
function columnsOf({ configuration, steps }: ParityReport["cases"][number]) {
  const all = steps.map(({ step, stages }) => ({ step, stages }));
  return configuration === undefined ? all : [{ step: 0, stages: [configuration] }, ...all];
}

it("holds every stage of every step, and all tensors of a short report", () => {
  fc.assert(
    fc.property(arbitraryReport, (report) => {
      const { cases } = pageData(report);
      expect(cases).toHaveLength(report.cases.length);
      for (const [index, { steps, rows }] of cases.entries()) {
        const columns = columnsOf(report.cases[index]!);
        expect(steps).toEqual(columns.map(({ step }) => step));
        for (const row of rows) expect(row.levels).toHaveLength(columns.length);
        for (const [place, { stages }] of columns.entries()) {
          for (const row of rows) {
            const stage = stages.findLast(({ stage }) => stage === row.stage);
            if (stage === undefined) {
              expect(row.levels[place]).toBe(".");
              expect(row.tables[place]).toBeUndefined();
              continue;
            }
            expect(row.levels[place]).toBe(String(heatLevel(stage)));
            expect(row.names[row.worst[place]!]).toBe(stage.worst);
            const tensor = stage.tensors.find(({ name }) => name === stage.worst);
            expect(row.byTolerance.includes(place)).toBe(tensor !== undefined && tensor.noise === undefined);
            const multiple = row.multiples[place]!;
            if (stage.multiple === null) expect(multiple).toBeNull();
            else expect(Math.abs(multiple - stage.multiple)).toBeLessThanOrEqual(stage.multiple * 0.005);
            expect(row.tables[place]).toEqual({
              compared: stage.compared,
              tensors: worstFirst(stage.tensors).map(tensorCells),
            });
          }
          for (const { stage } of stages) expect(rows.map((row) => row.stage)).toContain(stage);
        }
      }
    }),
  );
});

it("keeps within its budget, and the tables of what differs before those of what is equal", () => {
  const { cases } = exampleReport([
    { name: "clean", steps: 100 },
    { name: "wrong", steps: 20, fault: { step: 20, stage: "moments" } },
  ]);
  const report = { cases: [...Array.from({ length: 30 }, () => cases[0]!), cases[1]!] };
  const data = pageData(report);
  const tables = data.cases.flatMap(({ rows }) => rows.flatMap((row) => Object.values(row.tables)));
  const size = tables.reduce((sum, table) => sum + JSON.stringify(table).length, 0);
  expect(size).toBeLessThanOrEqual(4_000_000);
  expect(size).toBeGreaterThan(3_900_000);
  const different = data.cases.at(-1)!.rows.filter(({ levels }) => Number(levels.at(-1)) >= data.firstDifferent);
  expect(different.map(({ stage }) => stage)).toEqual(["moments", "weights"]);
  for (const row of different) expect(row.tables[20]).toBeDefined();
});
