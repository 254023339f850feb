import { z } from "zod";
import { isMapping } from "./configuration-path.ts";

/**
 * The JSON schema of a configuration file, for editors: completion, descriptions, defaults. Draft 7, which editors'
 * YAML support knows best.
 */
export function configurationJsonSchema(schema: z.ZodType): Record<string, unknown> {
  return z.toJSONSchema(schema, { io: "input", target: "draft-7" });
}

/** What a JSON schema says about one field. */
export interface FieldDescription {
  /** Names that a mapping at this place may have; undefined where any is allowed. */
  readonly names: readonly string[] | undefined;
  readonly description: string | undefined;
  /** Whether its numbers are whole ones. */
  readonly isWhole: boolean;
}

/** Follows a path into a JSON schema, through all alternatives. */
export function describeField(schema: Record<string, unknown>, path: readonly PropertyKey[]): FieldDescription {
  let nodes = alternatives(schema, schema);
  for (const name of path) nodes = nodes.flatMap((node) => alternatives(schema, childOf(node, name)));
  const mappings = nodes.filter((node) => isMapping(node.properties));
  const isClosed = mappings.length > 0 && mappings.every((node) => node.additionalProperties === false);
  return {
    names: isClosed ? [...new Set(mappings.flatMap((node) => Object.keys(node.properties as object)))] : undefined,
    description: nodes.map((node) => node.description).find((text) => typeof text === "string"),
    isWhole: nodes.some((node) => node.type === "integer"),
  };
}

function childOf(node: Readonly<Record<string, unknown>>, name: PropertyKey): unknown {
  if (typeof name === "number") return node.items;
  const properties = isMapping(node.properties) ? node.properties : {};
  return Object.hasOwn(properties, name) ? properties[String(name)] : node.additionalProperties;
}

/** A node and what it consists of. */
function alternatives(root: Record<string, unknown>, node: unknown): Readonly<Record<string, unknown>>[] {
  if (!isMapping(node)) return [];
  const inner = [node.anyOf, node.oneOf, node.allOf].flatMap((list) => (Array.isArray(list) ? list : []));
  const target = typeof node.$ref === "string" ? referenced(root, node.$ref) : undefined;
  return [node, ...[...inner, target].flatMap((part) => alternatives(root, part))];
}

/** Target of a reference inside the schema: `#/definitions/name`. */
function referenced(root: Record<string, unknown>, reference: string): unknown {
  return reference
    .split("/")
    .slice(1)
    .reduce<unknown>((node, name) => (isMapping(node) ? node[name] : undefined), root);
}
