import { readdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Configuration,
  ConfigurationError,
  type ConfigurationOverride,
  type ConfigurationPath,
  type ConfigurationPlace,
  type ConfigurationProblem,
  configurationJsonSchema,
  configurationProblems,
  overridePlace,
  parseOverrides,
  parsePath,
  readConfiguration,
  valueAt,
} from "@gradbank/core";
import { caseConflicts } from "./case-conflicts.ts";
import { type CaseLayer, locateInLayers, mergeLayers, singleLayer } from "./merge-case.ts";
import { resolveCase, resolveLoss } from "./resolve-case.ts";
import type { ResolvedCase, ResolvedSuite } from "./resolved-case.ts";
import { suiteSchema, writtenCaseSchema } from "./suite-schema.ts";

/**
 * Reads a suite file, YAML or JSON, and settles all its cases: `defaults` under each case, one case for each combination of
 * its matrix, then the overrides.
 *
 * Paths in the file are seen from the file's folder, those in overrides from the working directory.
 *
 * @param overrides `name=value` for fields of a case, with dots and in YAML (`steps=2`, `loss.scale=10`): set in every
 *   case, over its matrix, too. Default: none.
 * @throws ConfigurationError with all mistakes and their lines: see `readConfiguration`; also for fields that do not go
 *   together, and for two cases of one name.
 */
export async function readSuite(path: string, overrides: readonly string[] = []): Promise<ResolvedSuite> {
  const file = await readConfiguration(path, suiteSchema);
  const parsed = parseOverrides(path, overrides);
  const problems: ConfigurationProblem[] = [];
  const cases: ResolvedCase[] = [];
  for (let index = 0; index < file.value.cases.length; index++)
    for (const layers of caseLayers(file, index, parsed, problems)) {
      const resolved = settle(file, index, layers, parsed, problems);
      if (!resolved) continue;
      if (cases.some(({ name }) => name === resolved.name))
        problems.push({
          ...file.locate(["cases", index, "name"]),
          path: `cases.${index}.name`,
          message: `a case before this one is called ${JSON.stringify(resolved.name)}, too. Give each its own name.`,
        });
      cases.push(resolved);
    }
  if (problems.length > 0) throw new ConfigurationError("invalid-configuration", path, distinct(problems));
  const { name, description } = file.value;
  return { name, description, file: resolve(path), cases };
}

/** A suite that comes with gradbank. */
export interface ShippedSuite {
  /** Its file's name without extension. */
  readonly name: string;
  readonly path: string;
}

/** The suites that come with gradbank, by name. */
export async function shippedSuites(): Promise<readonly ShippedSuite[]> {
  const folder = fileURLToPath(new URL("../../suites", import.meta.url));
  const files = (await readdir(folder)).filter((file) => file.endsWith(".yaml")).sort();
  return files.map((file) => ({ name: basename(file, ".yaml"), path: join(folder, file) }));
}

/** One value of a field of a matrix. */
interface Assignment {
  readonly path: ConfigurationPath;
  readonly value: unknown;
  readonly place: number;
  readonly field: string;
}

/** The layers of every case that one entry of the file stands for. */
function caseLayers(
  file: Configuration<unknown>,
  index: number,
  overrides: readonly ConfigurationOverride[],
  problems: ConfigurationProblem[],
): CaseLayer[][] {
  const given = file.given as { defaults?: Record<string, unknown>; cases: Record<string, unknown>[] };
  const { matrix = {}, ...fields } = given.cases[index] as { matrix?: Record<string, unknown[]>; name: string };
  const upper = overrides.map(({ path, value, text }) => singleLayer(path, value, () => overridePlace(text)));
  const axes: Assignment[][] = [];
  for (const [field, values] of Object.entries(matrix)) {
    const path = parsePath(field);
    if (path === undefined)
      problems.push({
        ...file.locate(["cases", index, "matrix", field]),
        path: `cases.${index}.matrix.${field}`,
        message: `${JSON.stringify(field)} is no name of a field; expected names with dots between them, such as loss.scale.`,
      });
    else if (!overrides.some((override, layer) => replaces(override, upper[layer]!, path)))
      axes.push(values.map((value, place) => ({ path, value, place, field })));
  }
  const names = shortNames(axes.map(([first]) => first!.field));
  return product(axes).map((assignments) => {
    const settings = assignments.map(({ value }, axis) => `${names[axis]}=${showSetting(value)}`);
    const name = settings.length > 0 ? `${fields.name} (${settings.join(", ")})` : fields.name;
    return [
      { value: given.defaults ?? {}, locate: (path) => file.locate(["defaults", ...path]) },
      { value: { ...fields, name }, locate: (path) => file.locate(["cases", index, ...path]) },
      ...assignments.map(({ path, value, field, place }) =>
        singleLayer(path, value, (inner) =>
          file.locate(["cases", index, "matrix", field, place, ...inner.slice(path.length)]),
        ),
      ),
      ...upper,
    ];
  });
}

/** Whether an override gives the value at a path as a whole. */
function replaces(override: ConfigurationOverride, layer: CaseLayer, path: ConfigurationPath): boolean {
  return override.path.length <= path.length && valueAt(layer.value, path) !== undefined;
}

function settle(
  file: Configuration<unknown>,
  index: number,
  layers: readonly CaseLayer[],
  overrides: readonly ConfigurationOverride[],
  problems: ConfigurationProblem[],
): ResolvedCase | undefined {
  const merged = mergeLayers(layers);
  const locate = (path: ConfigurationPath): ConfigurationPlace =>
    locateInLayers(layers, path) ?? file.locate(["cases", index]);
  const result = writtenCaseSchema.safeParse(merged);
  if (!result.success) {
    const schema = configurationJsonSchema(writtenCaseSchema);
    const context = { value: merged, schema, locate, locateName: locate };
    problems.push(...configurationProblems(result.error.issues, context));
    return undefined;
  }
  const loss = resolveLoss(result.data.loss);
  const conflicts = caseConflicts({ written: result.data, given: merged, loss });
  for (const { path, message } of conflicts)
    problems.push({
      ...locate(path),
      path: path.join("."),
      message: `${message} (Case ${JSON.stringify(result.data.name)}.)`,
    });
  if (conflicts.length > 0) return undefined;
  return resolveCase(result.data, loss, (path) =>
    overrides.some((override) => valueAt(singleLayer(override.path, override.value, locate).value, path) !== undefined)
      ? process.cwd()
      : dirname(resolve(file.file)),
  );
}

/** All combinations of one of each; the last axis changes fastest. */
function product<T>(axes: readonly (readonly T[])[]): T[][] {
  return axes.reduce<T[][]>((chosen, axis) => chosen.flatMap((some) => axis.map((one) => [...some, one])), [[]]);
}

/** The last part of each name where that tells them apart. */
function shortNames(fields: readonly string[]): string[] {
  const last = fields.map((field) => field.split(".").at(-1)!);
  return new Set(last).size === last.length ? last : [...fields];
}

function showSetting(value: unknown): string {
  if (value === null) return "none";
  if (Array.isArray(value)) return value.map(showSetting).join("+");
  return typeof value === "object" ? JSON.stringify(value).replaceAll('"', "") : String(value);
}

/** A mistake in `defaults` or beside a matrix shows in several cases; it is told once. In the order of the file. */
function distinct(problems: readonly ConfigurationProblem[]): ConfigurationProblem[] {
  const seen = new Set<string>();
  return problems
    .filter(({ place, path, message }) => {
      const key = `${place} ${path} ${message.replace(/ \(Case .*/, "")}`;
      return !seen.has(key) && seen.add(key);
    })
    .sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}
