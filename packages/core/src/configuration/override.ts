import { parseDocument } from "yaml";
import { type ConfigurationPath, parsePath, valueAt, withValueAt } from "./configuration-path.ts";
import { ConfigurationError, type ConfigurationProblem } from "./errors.ts";

/** A value that replaces one of the file. */
export interface ConfigurationOverride {
  /** As it was given: `loss.scale=10`. */
  readonly text: string;
  readonly path: ConfigurationPath;
  readonly value: unknown;
}

/**
 * Reads overrides of the form `name=value`: the name with dots (`loss.scale`, `cases.0.steps`), the value in YAML
 * (`10`, `true`, `[a, b]`, `null`; an empty one is an empty text).
 *
 * @param file the file that they are for, for the message.
 * @throws ConfigurationError "invalid-override" with all that cannot be read.
 */
export function parseOverrides(file: string, texts: readonly string[]): ConfigurationOverride[] {
  const problems: ConfigurationProblem[] = [];
  const overrides: ConfigurationOverride[] = [];
  for (const text of texts) {
    const equals = text.indexOf("=");
    const name = text.slice(0, Math.max(equals, 0));
    const path = parsePath(name);
    const refuse = (message: string) => problems.push({ ...overridePlace(text), path: name, message });
    if (equals === -1 || path === undefined) {
      refuse("expected name=value, the name with dots, such as loss.scale=10.");
      continue;
    }
    const given = text.slice(equals + 1);
    const document = parseDocument(given, { prettyErrors: false });
    if (document.errors.length > 0) refuse(`the value is not YAML: ${document.errors[0]!.message}. Quote it.`);
    else overrides.push({ text, path, value: given.trim() === "" ? "" : document.toJS() });
  }
  if (problems.length > 0) throw new ConfigurationError("invalid-override", file, problems);
  return overrides;
}

/** How messages name an override. */
export function overridePlace(text: string): { readonly place: string } {
  return { place: `override ${text}` };
}

/**
 * Puts overrides into a value, in their order.
 *
 * @throws ConfigurationError "invalid-override" when there is no place for one: its parent is text, a number or a list.
 */
export function applyOverrides(file: string, value: unknown, overrides: readonly ConfigurationOverride[]): unknown {
  let result = value;
  for (const { text, path, value: replacement } of overrides) {
    const changed = withValueAt(result, path, replacement);
    if (changed === undefined) {
      const depth = path.findIndex((_, index) => withValueAt(result, path.slice(0, index + 1), null) === undefined);
      const parent = path.slice(0, depth);
      throw new ConfigurationError("invalid-override", file, [
        {
          ...overridePlace(text),
          path: path.join("."),
          message: `there is no place for ${path[depth]} in ${parent.join(".") || "the file"}, which is ${JSON.stringify(valueAt(result, parent))}.`,
        },
      ]);
    }
    result = changed;
  }
  return result;
}
