import { EventEmitter } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  BridgeError,
  type ParityReport,
  type Reference,
  type ResolvedCase,
  type ResolvedSuite,
  type RunSuiteOptions,
} from "@gradbank/bridge";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Interruption } from "./interruption.ts";
import { type ParityEngine, parity } from "./parity.ts";
import { type ParityOptions, parityDefaults } from "./parity-options.ts";
import { equalReport, eventsOf, sampleCase, sampleReport } from "./testing/sample-parity.ts";

const failedReport: ParityReport = {
  ...equalReport,
  verdict: "could-not-compare",
  cases: [sampleCase("a", { verdict: "could-not-compare", steps: [], error: { code: "c", message: "m" } })],
};

function suite(name: string, ...cases: string[]): ResolvedSuite {
  const mode = "teacher-forced";
  return {
    name,
    description: "What it shows.",
    file: `/suites/${name}.yaml`,
    // The command reads no other field of a case.
    cases: cases.map((of) => ({ name: of, description: "", mode, steps: 2 }) as ResolvedCase),
  };
}

const suites = [suite("quick", "pairs", "triplets"), suite("bank", "bank of pairs")];

/** The command with a bridge that answers at once: each suite gets the next of `reports`, the last one for good. */
function open(reports: readonly ParityReport[], given: Partial<ParityEngine> = {}) {
  const source = new EventEmitter();
  const interruption = new Interruption({ source, exit: () => {} });
  interruption.listen();
  const calls: [name: string, ...given: unknown[]][] = [];
  const ran: RunSuiteOptions[] = [];
  let closed = 0;
  const reference = {
    information: { python: "3.11", torch: "2", sentenceTransformers: "6" },
    close: async () => {
      closed++;
    },
  } as unknown as Reference;
  const engine: ParityEngine = {
    shippedSuites: async () => suites.map(({ name, file }) => ({ name, path: file })),
    readSuite: async (file, overrides) => {
      calls.push(["read", file, ...overrides]);
      return suites.find((known) => known.file === file) ?? suite("own", "mine");
    },
    startReference: async (options) => {
      calls.push(["start", options]);
      return reference;
    },
    connectReference: async (endpoint, options) => {
      calls.push(["connect", endpoint, options]);
      return reference;
    },
    runSuite: async (options) => {
      ran.push(options);
      const report = reports[Math.min(ran.length, reports.length) - 1]!;
      for (const event of eventsOf(report)) options.onEvent?.(event);
      return report;
    },
    writeReports: async (folder) => {
      calls.push(["report", folder]);
      return { html: join(folder, "report.html"), json: "", junit: "" };
    },
    ...given,
  };
  const told: [what: string, ...rest: unknown[]][] = [];
  let out = "";
  const run = (options: Partial<ParityOptions> = {}) =>
    parity(
      { ...parityDefaults, ...options },
      {
        engine,
        interruption,
        cacheFolder: "/cache",
        writeOut: (text) => {
          out += text;
        },
        reporter: {
          activity: (text) => told.push(["activity", text]),
          reference: (versions) => told.push(["reference", versions]),
          report: (event) => told.push(["event", event]),
          interrupt: (signal) => told.push(["interrupt", signal]),
          end: (ended, files) => told.push(["end", ended, files]),
          fail: (error) => told.push(["fail", error]),
        },
      },
    );
  return { run, source, calls, ran, told, out: () => out, closed: () => closed };
}

describe("exit status", () => {
  it.each([
    ["equal", [equalReport], 0],
    ["different", [sampleReport], 1],
    ["not compared", [failedReport], 2],
    ["different in one of two suites, the other not compared", [failedReport, sampleReport], 1],
    ["equal in one of two suites, the other not compared", [equalReport, failedReport], 2],
    ["equal in both", [equalReport, equalReport], 0],
  ])("%s", async (_, reports, expected) => {
    const { run, told, closed } = open(reports);
    expect(await run({ all: reports.length > 1 })).toBe(expected);
    expect(told.at(-1)).toEqual(["end", reports, []]);
    expect(closed()).toBe(1);
  });

  it("is 130 for an interrupted comparison that found nothing, and 1 for one that found a difference", async () => {
    for (const [report, expected] of [
      [equalReport, 130],
      [sampleReport, 1],
    ] as const) {
      const { run, source, told, ran } = open([report], {
        runSuite: async ({ signal }) => {
          source.emit("SIGINT", "SIGINT");
          expect(signal!.aborted).toBe(true);
          return report;
        },
      });
      expect(await run({ all: true })).toBe(expected);
      expect(told).toContainEqual(["interrupt", "SIGINT"]);
      // What was compared is told; the second suite is not begun.
      expect(told.at(-1)).toEqual(["end", [report], []]);
      expect(ran).toEqual([]);
    }
  });

  it("is 130 when it was interrupted before anything was compared", async () => {
    const { run, source, ran, closed } = open([equalReport]);
    source.emit("SIGTERM", "SIGTERM");
    expect(await run()).toBe(130);
    expect([ran, closed()]).toEqual([[], 1]);
  });
});

describe("suites", () => {
  it("takes the suite quick when none is named, and the cache folder", async () => {
    const { run, calls, ran, told } = open([equalReport]);
    await run();
    expect(calls).toEqual([
      ["read", "/suites/quick.yaml"],
      ["start", {}],
    ]);
    expect(ran).toHaveLength(1);
    expect(ran[0]).toMatchObject({ suite: suites[0], cacheFolder: "/cache" });
    for (const absent of ["cases", "threads", "golden", "saveTensors"]) expect(ran[0]).not.toHaveProperty(absent);
    expect(told[0]).toEqual(["activity", "Starting Python"]);
    expect(told[1]).toEqual(["reference", { Python: "3.11", torch: "2", "sentence-transformers": "6" }]);
    expect(told.filter(([what]) => what === "event").map(([, event]) => event)).toEqual(eventsOf(equalReport));
  });

  it("gives overrides, steps, tensors and the reference to every suite, options after --set", async () => {
    const { run, calls } = open([equalReport]);
    const asked = { steps: 2, tensors: "all", reference: "a.py:B", referenceOptions: { scale: 10 } } as const;
    await run({ suites: ["bank", "my.yaml"], overrides: ["steps=9", "seed=1"], ...asked });
    const overrides = [
      ...["steps=9", "seed=1", "steps=2", "wholeTensors=all"],
      'reference={"class":"a.py:B","options":{"scale":10}}',
    ];
    expect(calls.slice(0, 2)).toEqual([
      ["read", "/suites/bank.yaml", ...overrides],
      ["read", "my.yaml", ...overrides],
    ]);
    const plain = open([equalReport]);
    await plain.run({ reference: "ContAccum" });
    expect(plain.calls[0]).toEqual(["read", "/suites/quick.yaml", 'reference={"class":"ContAccum"}']);
  });

  it("says which suites there are when one is not known", async () => {
    const { run, calls } = open([equalReport]);
    await expect(run({ suites: ["quik"] })).rejects.toMatchObject({
      code: "unknown-suite",
      message: expect.stringMatching(/"quik".*quick, bank/),
    });
    expect(calls).toEqual([]);
  });

  it("refuses two suites of one name, which reports could not tell apart", async () => {
    const { run } = open([equalReport]);
    await expect(run({ suites: ["a.yaml", "b.yaml"] })).rejects.toMatchObject({
      code: "suites-of-one-name",
      message: expect.stringContaining('"own"'),
    });
  });

  it("leaves out suites without a case of that name", async () => {
    const { run, ran } = open([equalReport]);
    await run({ all: true, cases: ["of pairs", "no such"] });
    expect(ran.map(({ suite: { name }, cases }) => [name, cases])).toEqual([["bank", ["of pairs", "no such"]]]);
  });

  it("says which cases there are when no name fits, before Python is started", async () => {
    const { run, calls } = open([equalReport]);
    await expect(run({ all: true, cases: ["nothing"] })).rejects.toMatchObject({
      code: "no-such-case",
      message: expect.stringMatching(/"nothing".*pairs, triplets, bank of pairs/),
    });
    expect(calls.map(([name]) => name)).toEqual(["read", "read"]);
  });

  it("lists suites and cases without starting Python", async () => {
    const { run, out, calls } = open([equalReport]);
    expect(await run({ all: true, list: true, cases: ["pairs"] })).toBe(0);
    expect(out()).toBe(
      "quick: 1 case, 2 steps. What it shows.\n  pairs: teacher-forced, 2 steps\n\n" +
        "bank: 1 case, 2 steps. What it shows.\n  bank of pairs: teacher-forced, 2 steps\n\n",
    );
    expect(calls.map(([name]) => name)).toEqual(["read", "read"]);
  });
});

describe("a file of a suite's name", () => {
  let folder: string;
  const before = process.cwd();
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "gradbank-parity-"));
    process.chdir(folder);
  });
  afterEach(async () => {
    process.chdir(before);
    await rm(folder, { recursive: true });
  });

  it("comes before the suite", async () => {
    await writeFile(join(folder, "quick"), "");
    const { run, calls } = open([equalReport]);
    await run({ suites: ["quick"] });
    expect(calls[0]).toEqual(["read", "quick"]);
  });
});

describe("the reference", () => {
  it("is started with interpreter and threads", async () => {
    const { run, calls, ran } = open([equalReport]);
    await run({ python: "py", threads: 3 });
    expect(calls).toContainEqual(["start", { python: "py", threads: 3 }]);
    expect(ran[0]).toMatchObject({ threads: 3, reference: expect.anything() });
  });

  it("is a server that runs already", async () => {
    const { run, calls, told } = open([equalReport]);
    await run({ connect: "tcp://a:1", keys: "client.keys" });
    expect(calls).toContainEqual(["connect", "tcp://a:1", { keys: "client.keys" }]);
    expect(told[0]).toEqual(["activity", "Connecting to tcp://a:1"]);
    const local = open([equalReport]);
    await local.run({ connect: "ipc://a" });
    expect(local.calls).toContainEqual(["connect", "ipc://a", {}]);
  });

  it("is a golden folder, without Python", async () => {
    const { run, calls, ran, told, closed } = open([equalReport]);
    expect(await run({ importGolden: "golden" })).toBe(0);
    expect(calls.map(([name]) => name)).toEqual(["read"]);
    expect(told[0]).toEqual(["reference", { "golden folder": "golden" }]);
    expect(ran[0]).toMatchObject({ golden: { import: "golden" }, reference: undefined });
    expect(closed()).toBe(0);
  });

  it("ends when a suite cannot be run", async () => {
    const lost = new BridgeError("connection-lost", "The Python server ended.");
    const { run, closed } = open([equalReport], { runSuite: () => Promise.reject(lost) });
    await expect(run()).rejects.toBe(lost);
    expect(closed()).toBe(1);
  });
});

describe("folders", () => {
  it("are as named for one suite", async () => {
    const { run, calls, ran, told } = open([equalReport]);
    await run({ report: "out", exportGolden: "golden", saveTensors: "tensors" });
    expect(calls).toContainEqual(["report", "out"]);
    expect(ran[0]).toMatchObject({ golden: { export: "golden" }, saveTensors: "tensors" });
    expect(told.at(-1)).toEqual(["end", [equalReport], [join("out", "report.html")]]);
  });

  it("are one a suite below it for several", async () => {
    const { run, calls, ran } = open([equalReport]);
    await run({ all: true, report: "out", exportGolden: "golden", saveTensors: "tensors" });
    for (const [index, name] of ["quick", "bank"].entries()) {
      expect(calls).toContainEqual(["report", join("out", name)]);
      expect(ran[index]).toMatchObject({
        golden: { export: join("golden", name) },
        saveTensors: join("tensors", name),
      });
    }
  });
});

describe("--fail-fast", () => {
  it.each([
    ["a difference", sampleReport, 1],
    ["a case that cannot be compared", failedReport, 2],
  ])("stops at %s, and begins no other suite", async (_, report, expected) => {
    const { run, ran } = open([report]);
    expect(await run({ all: true, failFast: true })).toBe(expected);
    expect(ran.map(({ signal }) => signal!.aborted)).toEqual([true]);
  });

  it("does not stop at what is equal, and without it nothing stops", async () => {
    const equal = open([equalReport]);
    await equal.run({ all: true, failFast: true });
    expect(equal.ran).toHaveLength(2);
    const different = open([sampleReport]);
    await different.run({ all: true });
    expect(different.ran.map(({ signal }) => signal!.aborted)).toEqual([false, false]);
  });
});
