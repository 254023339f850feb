import type { z } from "zod";
import { readConfigurationDocument } from "./configuration-document.ts";
import { configurationJsonSchema } from "./configuration-json-schema.ts";
import type { ConfigurationPath } from "./configuration-path.ts";
import { configurationProblems } from "./configuration-problems.ts";
import { ConfigurationError, type ConfigurationPlace } from "./errors.ts";
import { applyOverrides, type ConfigurationOverride, overridePlace, parseOverrides } from "./override.ts";

export interface ReadConfigurationOptions {
  /** Values that replace those of the file: `loss.scale=10`, the value in YAML; later ones win. Default: none. */
  readonly overrides?: readonly string[];
}

/** A file that was read and checked. */
export interface Configuration<Value> {
  readonly file: string;
  /** What the schema makes of it, defaults filled in. */
  readonly value: Value;
  /** What was written, overrides included. */
  readonly given: unknown;
  /** Where the value at a path was written, or the innermost of its parents that was. */
  readonly locate: (path: ConfigurationPath) => ConfigurationPlace;
}

/**
 * Reads a YAML or JSON file and checks it against a schema.
 *
 * @throws ConfigurationError with all mistakes at once, each with its place, the field, what was given, what is
 *   allowed, and the name that was probably meant: "unreadable-file", "invalid-syntax", "invalid-override",
 *   "invalid-configuration".
 */
export async function readConfiguration<Schema extends z.ZodType>(
  file: string,
  schema: Schema,
  options: ReadConfigurationOptions = {},
): Promise<Configuration<z.output<Schema>>> {
  const document = await readConfigurationDocument(file);
  const overrides = parseOverrides(file, options.overrides ?? []);
  const given = applyOverrides(file, document.value, overrides);
  const locate = (path: ConfigurationPath) => overriding(overrides, path) ?? document.locate(path);
  const result = schema.safeParse(given);
  if (result.success) return { file, value: result.data, given, locate };
  const problems = configurationProblems(result.error.issues, {
    value: given,
    schema: configurationJsonSchema(schema),
    locate,
    locateName: (path) => overriding(overrides, path) ?? document.locateName(path),
  });
  throw new ConfigurationError("invalid-configuration", file, problems);
}

/** The last override that gave the value at a path. */
function overriding(
  overrides: readonly ConfigurationOverride[],
  path: ConfigurationPath,
): ConfigurationPlace | undefined {
  const found = overrides.findLast((override) =>
    override.path.every((name, depth) => depth < path.length && String(name) === String(path[depth])),
  );
  return found && overridePlace(found.text);
}
