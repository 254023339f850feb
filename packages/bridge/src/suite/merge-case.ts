import { type ConfigurationPath, type ConfigurationPlace, isMapping, valueAt, withValueAt } from "@gradbank/core";
import { dataKinds, modelKinds } from "./suite-schema.ts";

/** Fields of a case from one source; later layers go before earlier ones. */
export interface CaseLayer {
  readonly value: Readonly<Record<string, unknown>>;
  /** Where the value at a path of the layer was written. */
  readonly locate: (path: ConfigurationPath) => ConfigurationPlace;
}

/** A layer with one value. */
export function singleLayer(path: ConfigurationPath, value: unknown, locate: CaseLayer["locate"]): CaseLayer {
  return { value: withValueAt({}, path, value) as Record<string, unknown>, locate };
}

/**
 * Puts layers together, field by field; lists are replaced as a whole. A model or data of another kind and a reference
 * of another class replace what was there, because the other fields belong to the old one.
 */
export function mergeLayers(layers: readonly CaseLayer[]): Record<string, unknown> {
  return layers.reduce<Record<string, unknown>>((base, { value }) => merge(base, value, []), {});
}

/** Where the value at a path came from: the last layer that has it, or has the innermost of its parents. */
export function locateInLayers(layers: readonly CaseLayer[], path: ConfigurationPath): ConfigurationPlace | undefined {
  for (let depth = path.length; depth > 0; depth--) {
    const part = path.slice(0, depth);
    const layer = layers.findLast(({ value }) => valueAt(value, part) !== undefined);
    if (layer) return layer.locate(path);
  }
  return undefined;
}

function merge(
  base: Readonly<Record<string, unknown>>,
  layer: Readonly<Record<string, unknown>>,
  path: readonly string[],
): Record<string, unknown> {
  const merged = { ...base };
  for (const [name, value] of Object.entries(layer)) {
    const old = merged[name];
    const inner = [...path, name];
    merged[name] =
      isMapping(old) && isMapping(value) && !isReplaced(inner.join("."), old, value) ? merge(old, value, inner) : value;
  }
  return merged;
}

function isReplaced(
  path: string,
  base: Readonly<Record<string, unknown>>,
  layer: Readonly<Record<string, unknown>>,
): boolean {
  if (path === "reference") return layer.class !== undefined && layer.class !== base.class;
  const kinds: readonly string[] | undefined = { model: modelKinds, data: dataKinds }[path];
  const kind = kinds?.find((name) => layer[name] !== undefined);
  // Without a name it is of the first kind.
  return kinds !== undefined && kind !== undefined && kind !== (kinds.find((name) => name in base) ?? kinds[0]);
}
