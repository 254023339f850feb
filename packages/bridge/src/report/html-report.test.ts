import { createHash } from "node:crypto";
import { Script } from "node:vm";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { arbitraryReport, exampleReport } from "../testing/parity-reports.ts";
import { htmlReport } from "./html-report.ts";
import { pageData } from "./page/page-data.ts";

const voidTags = new Set(["meta", "input", "br", "line", "path"]);

/** Checks that tags are closed in order and attributes quoted; gives back texts and attribute values with their references resolved. */
function readPage(page: string): { tags: string[]; texts: string[]; scripts: string[] } {
  const [open, tags, texts, scripts]: string[][] = [[], [], [], []];
  const resolve = (markup: string) => markup.replaceAll(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
  let rest = page.replace("<!doctype html>\n", "");
  while (rest !== "") {
    const text = /^[^<]+/.exec(rest)?.[0];
    if (text !== undefined) {
      texts!.push(resolve(text));
      rest = rest.slice(text.length);
      continue;
    }
    const [whole, close, tag, attributes, end] =
      /^<(\/?)([a-z][a-z0-9]*)((?: [a-z0-9-]+(?:="[^"<]*")?)*)(\/?)>/i.exec(rest) ?? [];
    if (whole === undefined) throw new Error(`no tag at ${rest.slice(0, 80)}`);
    rest = rest.slice(whole.length);
    if (close === "/") {
      expect(open!.pop()).toBe(tag);
      continue;
    }
    tags!.push(tag!);
    for (const [, value] of attributes!.matchAll(/="([^"]*)"/g)) texts!.push(resolve(value!));
    if (!voidTags.has(tag!) && end !== "/") open!.push(tag!);
    if (tag === "script" || tag === "style") {
      const length = rest.indexOf(`</${tag}`);
      if (tag === "script") scripts!.push(rest.slice(0, length));
      rest = rest.slice(length);
    }
  }
  expect(open).toEqual([]);
  return { tags: tags!, texts: texts!, scripts: scripts! };
}

describe("htmlReport", () => {
  it("is a sound page for any report, with every text in it as it came and no element that a text brought", () => {
    fc.assert(
      fc.property(arbitraryReport, (report) => {
        const { tags, texts, scripts } = readPage(htmlReport(report));
        expect(scripts).toHaveLength(2);
        expect(JSON.parse(scripts[0]!)).toEqual(JSON.parse(JSON.stringify(pageData(report))));
        const all = texts.join("\n");
        for (const { name, reference, error, firstDivergence, environment } of report.cases) {
          const shown = [name, reference, error?.message, firstDivergence?.message, ...Object.values(environment.ours)];
          for (const text of shown) if (text !== undefined) expect(all).toContain(String(text));
        }
        expect(
          tags.filter((tag) => ["img", "iframe", "link", "object", "embed", "base", "form"].includes(tag)),
        ).toEqual([]);
        expect(tags.filter((tag) => tag === "script")).toHaveLength(2);
      }),
    );
  });

  const report = exampleReport([
    { name: "clean", steps: 3 },
    { name: "encoder", steps: 3, fault: { step: 2, stage: "embeddings" } },
    { name: "drift", mode: "free-running", steps: 20 },
    { name: "lost", steps: 1, error: { code: "connection-lost", message: "The server ended." } },
  ]);

  it("runs its own script and nothing else, and loads nothing", () => {
    const page = htmlReport(report);
    const { scripts, texts } = readPage(page);
    const [, script] = scripts;
    const hash = createHash("sha256").update(script!).digest("base64");
    expect(texts).toContain(`default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'`);
    expect(() => new Script(script!)).not.toThrow();
    expect(page).not.toMatch(/\b(src|srcset|action|data)=|url\(|@import|https?:/);
    expect([...page.matchAll(/href="([^"]*)"/g)].every(([, target]) => /^#case-\d$/.test(target!))).toBe(true);
  });

  it("says the verdict, the first divergence and the walk to it without script", () => {
    const { texts } = readPage(htmlReport(report));
    const all = texts.join("").replaceAll(/\s+/g, " ");
    expect(all).toContain("Different from the reference in 1 of 4 cases; 1 could not be compared.");
    const { firstDivergence } = report.cases[1]!;
    expect(all).toContain(firstDivergence!.message);
    for (const { module } of firstDivergence!.activations!) expect(texts).toContain(module);
    expect(all).toContain("16 modules before, all equal");
    expect(all).toContain("connection-lost");
    expect(all).toContain("The same in every step: tokens, labels, replayed-embeddings.");
  });

  it("marks what the environments have different, and says it once for all cases that agree", () => {
    const page = htmlReport(report);
    expect(page.match(/<table class="environment">/g)).toHaveLength(1);
    expect(page.match(/<tr class="differs"><th scope="row">[a-z]+/g)).toEqual([
      '<tr class="differs"><th scope="row">threads',
    ]);
    const other = structuredClone(report);
    other.cases[2]!.environment.ours.threads = 8;
    expect(htmlReport(other).match(/<table class="environment">/g)).toHaveLength(2);
  });

  it("opens what is not equal, but not so many that drawing takes long", () => {
    const opened = (...names: (string | undefined)[]) => {
      const cases = names.map((fault, index) => ({
        name: `case ${index}`,
        steps: 2,
        ...(fault === undefined ? {} : { fault: { step: 1, stage: "loss" } as const }),
      }));
      return [...htmlReport(exampleReport(cases)).matchAll(/data-case="(\d)" open/g)].map(([, index]) => Number(index));
    };
    expect([opened(undefined), opened(undefined, "x", undefined, "x")]).toEqual([[0], [1, 3]]);
    expect(opened("x", "x", "x", "x", "x")).toEqual([0, 1, 2]);
  });

  it("stays small with 50 cases of 200 steps", () => {
    const { cases, ...rest } = exampleReport([
      { name: "drift", steps: 200, mode: "free-running" },
      { name: "wrong", steps: 200, fault: { step: 150, stage: "parameter-gradients" } },
      ...["a", "b", "c"].map((name) => ({ name, steps: 200 })),
    ]);
    const many = Array.from({ length: 50 }, (_, index) => ({ ...cases[index % cases.length]!, name: `case ${index}` }));
    const page = htmlReport({ ...rest, cases: many });
    expect(page.length).toBeLessThan(9_000_000);
  });
});
