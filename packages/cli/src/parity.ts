import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  type ParityReport,
  Reference,
  type ReportPaths,
  type ResolvedCase,
  type ResolvedSuite,
  type RunSuiteOptions,
  readSuite,
  reportVerdict,
  runSuite,
  type ShippedSuite,
  shippedSuites,
  type Verdict,
  writeReports,
} from "@gradbank/bridge";
import { CommandError } from "./errors.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import type { Interruption } from "./interruption.ts";
import { formatAmount } from "./number-format.ts";
import type { ParityOptions } from "./parity-options.ts";
import type { ParityReporter } from "./parity-reporter.ts";

/** What compares: the bridge, or what a test puts in its place. */
export interface ParityEngine {
  readonly shippedSuites: () => Promise<readonly ShippedSuite[]>;
  readonly readSuite: (file: string, overrides: readonly string[]) => Promise<ResolvedSuite>;
  readonly startReference: (options: { readonly python?: string; readonly threads?: number }) => Promise<Reference>;
  readonly connectReference: (endpoint: string, options: { readonly keys?: string }) => Promise<Reference>;
  readonly runSuite: (options: RunSuiteOptions) => Promise<ParityReport>;
  readonly writeReports: (folder: string, report: ParityReport) => Promise<ReportPaths>;
}

/** What the command needs besides its options. */
export interface ParitySurroundings {
  readonly reporter: ParityReporter;
  readonly interruption: Interruption;
  /** Where `--list` goes. */
  readonly writeOut: (text: string) => void;
  /** Folder for models that suites make. */
  readonly cacheFolder: string;
  /** Default: the bridge. */
  readonly engine?: ParityEngine;
}

const bridge: ParityEngine = {
  shippedSuites,
  readSuite,
  startReference: (options) => Reference.start(options),
  connectReference: (endpoint, options) => Reference.connect(endpoint, options),
  runSuite,
  writeReports,
};

const defaultSuite = "quick";

/**
 * Compares the cases of suites with the reference.
 *
 * @returns 0 when all is equal, 1 when something differs, 2 when something could not be compared and nothing differs, 130
 *   when a signal ended it before all was compared and nothing differs.
 * @throws GradbankError when nothing can be compared: a suite that cannot be read, no Python, no case of that name.
 */
export async function parity(options: ParityOptions, surroundings: ParitySurroundings): Promise<ExitCode> {
  const { reporter, interruption, engine = bridge } = surroundings;
  const suites = chooseCases(await readSuites(options, engine), options.cases);
  if (options.list) {
    for (const suite of suites) surroundings.writeOut(describeSuite(suite, options.cases));
    return exitCodes.done;
  }
  const stop = new AbortController();
  interruption.onRequest((signal) => {
    reporter.interrupt(signal);
    stop.abort();
  });
  const reference = await openReference(options, reporter, engine);
  const reports: ParityReport[] = [];
  const files: string[] = [];
  try {
    for (const suite of suites) {
      if (stop.signal.aborted) break;
      const report = await engine.runSuite(
        runOptions(suite, { options, surroundings, reference, stop, among: suites }),
      );
      reports.push(report);
      if (options.report === undefined) continue;
      files.push((await engine.writeReports(ownFolder(options.report, suite, suites), report)).html);
    }
  } finally {
    await reference?.close();
  }
  reporter.end(reports, files);
  return exitCodeOf(reports, interruption);
}

interface Run {
  readonly options: ParityOptions;
  readonly surroundings: ParitySurroundings;
  readonly reference: Reference | undefined;
  readonly stop: AbortController;
  readonly among: readonly ResolvedSuite[];
}

function runOptions(suite: ResolvedSuite, { options, surroundings, reference, stop, among }: Run): RunSuiteOptions {
  const { cases, threads, importGolden, exportGolden, saveTensors, failFast } = options;
  const folder = (given: string) => ownFolder(given, suite, among);
  return {
    suite,
    reference,
    cacheFolder: surroundings.cacheFolder,
    signal: stop.signal,
    onEvent: (event) => {
      surroundings.reporter.report(event);
      const differs = event.type === "divergence" || (event.type === "case-end" && event.verdict !== "equal");
      if (failFast && differs) stop.abort();
    },
    ...(cases.length > 0 ? { cases } : {}),
    ...(threads === undefined ? {} : { threads }),
    ...(saveTensors === undefined ? {} : { saveTensors: folder(saveTensors) }),
    ...(importGolden === undefined ? {} : { golden: { import: folder(importGolden) } }),
    ...(exportGolden === undefined ? {} : { golden: { export: folder(exportGolden) } }),
  };
}

/** Several suites have a folder each below the one that was named; a single one has that folder to itself. */
function ownFolder(folder: string, { name }: ResolvedSuite, among: readonly ResolvedSuite[]): string {
  return among.length === 1 ? folder : join(folder, name);
}

async function readSuites(options: ParityOptions, engine: ParityEngine): Promise<ResolvedSuite[]> {
  const shipped = await engine.shippedSuites();
  const chosen = options.suites.length > 0 ? options.suites : [defaultSuite];
  const files = options.all ? shipped.map(({ path }) => path) : chosen.map((suite) => suiteFile(suite, shipped));
  const overrides = [
    ...options.overrides,
    ...(options.steps === undefined ? [] : [`steps=${options.steps}`]),
    ...(options.tensors === undefined ? [] : [`wholeTensors=${options.tensors}`]),
    ...(options.reference === undefined ? [] : [`reference=${referenceOverride(options)}`]),
  ];
  const suites: ResolvedSuite[] = [];
  for (const file of files) suites.push(await engine.readSuite(file, overrides));
  const names = suites.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice === undefined) return suites;
  throw new CommandError(
    "suites-of-one-name",
    `Two of the suites are called "${twice}": ${suites.map(({ file }) => file).join(", ")}. Compare them one by one, or rename one.`,
    { name: twice },
  );
}

/** Values of suite files are YAML, of which JSON is a part. */
function referenceOverride({ reference, referenceOptions }: ParityOptions): string {
  const hasOptions = Object.keys(referenceOptions).length > 0;
  return JSON.stringify({ class: reference, ...(hasOptions ? { options: referenceOptions } : {}) });
}

/** A file that is there comes before a suite of that name. */
function suiteFile(suite: string, shipped: readonly ShippedSuite[]): string {
  if (existsSync(suite)) return suite;
  const found = shipped.find(({ name }) => name === suite);
  if (found) return found.path;
  // What looks like a path is read, and the reader says what is wrong with it.
  if (/[\\/]|\.(ya?ml|json)$/.test(suite)) return suite;
  throw new CommandError(
    "unknown-suite",
    `There is no suite "${suite}". Name a suite file, or one of those that ship: ${shipped.map(({ name }) => name).join(", ")}.`,
    { suite },
  );
}

function isChosen({ name }: ResolvedCase, texts: readonly string[]): boolean {
  return texts.length === 0 || texts.some((text) => name.includes(text));
}

/** Suites that have a case whose name contains one of the texts; with no texts, all. */
function chooseCases(suites: readonly ResolvedSuite[], texts: readonly string[]): ResolvedSuite[] {
  const chosen = suites.filter(({ cases }) => cases.some((tested) => isChosen(tested, texts)));
  if (chosen.length > 0) return chosen;
  const names = suites.flatMap(({ cases }) => cases.map(({ name }) => name));
  throw new CommandError(
    "no-such-case",
    `No case has a name that contains ${texts.map((text) => `"${text}"`).join(" or ")}. There are ${formatAmount(names.length, "case")}, among them ${names.slice(0, 5).join(", ")}; gradbank parity --list tells them all.`,
    { texts, names },
  );
}

async function openReference(
  { importGolden, connect, keys, python, threads }: ParityOptions,
  reporter: ParityReporter,
  engine: ParityEngine,
): Promise<Reference | undefined> {
  if (importGolden !== undefined) {
    reporter.reference({ "golden folder": importGolden });
    return undefined;
  }
  reporter.activity(connect === undefined ? "Starting Python" : `Connecting to ${connect}`);
  const reference =
    connect === undefined
      ? await engine.startReference({
          ...(python === undefined ? {} : { python }),
          ...(threads === undefined ? {} : { threads }),
        })
      : await engine.connectReference(connect, keys === undefined ? {} : { keys });
  const { information } = reference;
  reporter.reference({
    Python: information.python,
    torch: information.torch,
    "sentence-transformers": information.sentenceTransformers,
  });
  return reference;
}

function exitCodeOf(reports: readonly ParityReport[], interruption: Interruption): ExitCode {
  const verdict: Verdict = reportVerdict(reports);
  if (verdict === "different") return exitCodes.failed;
  if (interruption.signal) return exitCodes.interrupted;
  return verdict === "equal" ? exitCodes.done : exitCodes.couldNotCompare;
}

function describeSuite({ name, description, cases: all }: ResolvedSuite, texts: readonly string[]): string {
  const cases = all.filter((tested) => isChosen(tested, texts));
  const steps = cases.reduce((sum, tested) => sum + tested.steps, 0);
  const about = description === "" ? "" : ` ${description}`;
  const title = `${name}: ${formatAmount(cases.length, "case")}, ${formatAmount(steps, "step")}.${about}`;
  return `${[title, ...cases.map(describeCase)].join("\n")}\n\n`;
}

function describeCase({ name, mode, steps, description }: ResolvedCase): string {
  return `  ${name}: ${mode}, ${formatAmount(steps, "step")}${description === "" ? "" : `. ${description}`}`;
}
