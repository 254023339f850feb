import { describe, expect, it } from "vitest";
import { type PageNode, runPage } from "../../testing/page-document.ts";
import { exampleReport, hostileTexts } from "../../testing/parity-reports.ts";
import { tensorCells, tensorColumns } from "../tensor-text.ts";
import { pageData } from "./page-data.ts";

const report = exampleReport([
  { name: "clean", steps: 3 },
  { name: "wrong", steps: 4, fault: { step: 2, stage: "moments" } },
]);
const bothOpen = [
  { isOpen: true, isEqual: true },
  { isOpen: true, isEqual: false },
];

/** Cells of a case's strip: one list a stage. */
function cellsOf(details: PageNode): PageNode[][] {
  const rows = details.all("tbody")[0]?.all("tr") ?? [];
  return rows.map((row) => row.all("td"));
}

/** Texts of the table of tensors, row by row. */
function tensorsOf(details: PageNode): string[][] {
  const table = details.all("table")[1];
  const rows = table?.all("tbody")[0]?.all("tr") ?? [];
  return rows.map((row) => [...row.all("th"), ...row.all("td")].map((cell) => cell.textContent));
}

const titleOf = (details: PageNode) => details.all("h4")[0]?.textContent;
const stageNames = (details: PageNode) =>
  details
    .all("tbody")[0]!
    .all("th")
    .map((head) => head.textContent);

describe("the page's script", () => {
  it("draws a cell for each stage of each step, with its number in words and a sign where it differs", () => {
    const { cases } = runPage(pageData(report), bothOpen);
    for (const [index, details] of cases.entries()) {
      const cells = cellsOf(details);
      const { configuration, steps } = report.cases[index]!;
      expect(stageNames(details)).toEqual([configuration!, ...steps[0]!.stages].map(({ stage }) => stage));
      for (const [column, { step, stages }] of steps.entries()) {
        for (const [row, { stage, equal, multiple, worst }] of stages.entries()) {
          const cell = cells[row + 1]![column + 1]!;
          expect(cell.textContent).toBe(equal ? "" : "✕");
          const words = cell.getAttribute("aria-label");
          const exact = `step ${step}, ${stage}: the same`;
          if (equal && multiple === 0) expect(words).toBe(exact);
          else
            expect(words).toMatch(
              new RegExp(
                `^step ${step}, ${stage}: ${equal ? "equal" : "different"}, \\S+ times the noise floor; worst is ${worst}$`,
              ),
            );
        }
      }
      expect(cells[1]![0]!.getAttribute("aria-label")).toBe("before step 1, tokens: not compared");
    }
  });

  it("shows the tensors of the first cell that differs, and of any that is clicked", () => {
    const { cases } = runPage(pageData(report), bothOpen);
    const [clean, wrong] = cases as [PageNode, PageNode];
    expect(titleOf(clean)).toBe("Choose a cell to see its tensors.");
    expect(titleOf(wrong)).toMatch(/^step 2, moments: different, /);
    expect(tensorsOf(wrong)).toHaveLength(30);
    const scrolled = (details: PageNode) => details.all("div").find((node) => node.matches(".scroll"))!.scrollLeft;
    expect([scrolled(clean), scrolled(wrong)]).toEqual([0, 500]);
    expect(wrong.textContent).toContain("44 more compared, all equal.");

    const row = stageNames(wrong).indexOf("embeddings");
    const cell = cellsOf(wrong)[row]![3]!;
    cell.happen("click");
    const [tensor] = report.cases[1]!.steps[2]!.stages.find(({ stage }) => stage === "embeddings")!.tensors;
    expect(titleOf(wrong)).toMatch(/^step 3, embeddings: equal, /);
    expect(tensorsOf(wrong)).toEqual([tensorCells(tensor!)]);
    const headings = wrong.all("table")[1]!.all("thead")[0]!.all("th");
    expect(headings.map((heading) => heading.textContent)).toEqual([...tensorColumns]);
    const selected = cellsOf(wrong)
      .flat()
      .filter((other) => other.getAttribute("aria-selected") === "true");
    expect(selected).toEqual([cell]);
  });

  it("is driven by the keyboard: one cell in the tab order, arrows move, enter chooses", () => {
    const { cases, tip } = runPage(pageData(report), bothOpen);
    const cells = cellsOf(cases[0]!);
    const stops = () => cells.flat().filter((cell) => cell.getAttribute("tabindex") === "0");
    expect(stops()).toEqual([cells[0]![0]]);
    const walk = [
      ["ArrowUp", 0, 0],
      ["ArrowDown", 1, 0],
      ["ArrowRight", 1, 1],
      ["End", 1, 3],
      ["ArrowRight", 1, 3],
      ["ArrowLeft", 1, 2],
      ["Home", 1, 0],
      ["a", 1, 0],
    ] as const;
    for (const [key, row, column] of walk) {
      stops()[0]!.happen("keydown", key);
      expect(stops()).toEqual([cells[row]![column]]);
    }
    expect(tip.hidden).toBe(false);
    cells[2]![2]!.happen("keydown", "Enter");
    expect(titleOf(cases[0]!)).toBe(cells[2]![2]!.getAttribute("aria-label"));
    cells[2]![3]!.happen("keydown", " ");
    expect(titleOf(cases[0]!)).toBe(cells[2]![3]!.getAttribute("aria-label"));
  });

  it("tells a cell's number beside it, inside the window", () => {
    const { cases, tip } = runPage(pageData(report), bothOpen);
    const cell = cellsOf(cases[0]!)[2]![1]!;
    expect(tip.hidden).toBe(true);
    cell.happen("mouseover");
    expect([tip.hidden, tip.textContent, tip.style.left]).toEqual([false, cell.getAttribute("aria-label"), "292px"]);
    cases[0]!.all("table")[0]!.happen("mouseleave");
    expect(tip.hidden).toBe(true);
  });

  it("draws a case when it is opened, pointed at or printed, and only once", () => {
    const closed = bothOpen.map(({ isEqual }) => ({ isOpen: false, isEqual }));
    const page = runPage(pageData(report), closed);
    const [clean, wrong] = page.cases as [PageNode, PageNode];
    expect(page.cases.map((details) => cellsOf(details).length)).toEqual([0, 0]);
    page.happen("beforeprint");
    expect(page.cases.map((details) => cellsOf(details).length)).toEqual([0, 13]);
    expect([clean.open, wrong.open]).toEqual([false, true]);
    const cell = cellsOf(wrong)[0]![0];
    wrong.happen("toggle");
    expect(cellsOf(wrong)[0]![0]).toBe(cell);
    clean.open = true;
    clean.happen("toggle");
    expect(cellsOf(clean)).toHaveLength(13);

    const [, target] = runPage(pageData(report), closed, "#case-1").cases;
    expect([target!.open, cellsOf(target!).length]).toEqual([true, 13]);
  });

  it("says where the numbers are that a long report's page leaves out", () => {
    const data = pageData(report);
    const rows = data.cases[0]!.rows.map((row) => ({ ...row, tables: {} }));
    const [details] = runPage({ ...data, cases: [{ ...data.cases[0]!, rows }] }, [bothOpen[0]!]).cases;
    cellsOf(details!)[2]![2]!.happen("click");
    expect(details!.textContent).toContain("report.json has all.");
    cellsOf(details!)[2]![0]!.happen("click");
    expect(details!.textContent).not.toContain("report.json has all.");
  });

  it("takes names for texts, whatever they are", () => {
    const cases = hostileTexts.map((name) => {
      const copy = structuredClone(report.cases[1]!);
      const stage = copy.steps[1]!.stages.find(({ equal }) => !equal)!;
      const tensor = { ...stage.tensors[0]!, name };
      Object.assign(stage, { worst: name, tensors: [tensor] });
      return copy;
    });
    const page = runPage(
      pageData({ cases }),
      cases.map(() => ({ isOpen: true, isEqual: false })),
    );
    for (const [index, details] of page.cases.entries()) {
      expect(tensorsOf(details)[0]![0]).toBe(hostileTexts[index]);
      expect(titleOf(details)!.endsWith(`worst is ${hostileTexts[index]}`)).toBe(true);
    }
  });

  it("draws nothing for a case without steps", () => {
    const [details] = runPage({ columns: [], firstDifferent: 5, cases: [{ steps: [], rows: [] }] }, [
      bothOpen[0]!,
    ]).cases;
    expect(details!.textContent).toBe("");
  });
});
