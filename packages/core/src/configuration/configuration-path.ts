/** The way to a field: names of mappings and places in lists, from the outside in. */
export type ConfigurationPath = readonly (string | number)[];

/** `cases.0.loss.scale` */
export function showPath(path: readonly PropertyKey[]): string {
  return path.map(String).join(".");
}

/** The path that `cases.0.loss.scale` stands for; undefined when a part of it is empty. */
export function parsePath(text: string): ConfigurationPath | undefined {
  const parts = text.trim().split(".");
  if (parts.some((part) => part === "")) return undefined;
  return parts.map((part) => (/^\d+$/.test(part) ? Number(part) : part));
}

/** Whether `value` is a mapping of names to values. */
export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value at a path, or undefined. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (parent, name) =>
      typeof parent === "object" && parent !== null && Object.hasOwn(parent, name)
        ? (parent as Record<PropertyKey, unknown>)[name]
        : undefined,
    value,
  );
}

/**
 * A copy of `value` with another value at a path; mappings on the way are made where there is nothing.
 *
 * @returns undefined when something on the way can hold no such field: text, a number, a list without that place.
 */
export function withValueAt(value: unknown, path: ConfigurationPath, replacement: unknown): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return replacement;
  if (Array.isArray(value)) {
    if (typeof name !== "number" || name >= value.length) return undefined;
    const changed = withValueAt(value[name], rest, replacement);
    return changed === undefined ? undefined : value.with(name, changed);
  }
  const parent = value ?? {};
  if (!isMapping(parent)) return undefined;
  const changed = withValueAt(valueAt(parent, [name]), rest, replacement);
  // A computed name in a literal is an own field, even "__proto__".
  return changed === undefined ? undefined : { ...parent, [name]: changed };
}
