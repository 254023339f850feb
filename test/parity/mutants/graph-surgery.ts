import type { Graph, Node, Value } from "@gradbank/graph";

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Nodes whose name matches, backward ones included. */
function nodesNamed(graph: Graph, name: RegExp): Mutable<Node>[] {
  return graph.nodes.filter((node) => name.test(node.name));
}

/** Changes attributes of nodes. */
export function changeAttributes(graph: Graph, name: RegExp, changes: Node["attributes"]): void {
  for (const node of nodesNamed(graph, name)) node.attributes = { ...node.attributes, ...changes };
}

/** Gives nodes other inputs. */
export function changeInputs(graph: Graph, name: RegExp, change: (inputs: readonly Value[]) => readonly Value[]): void {
  for (const node of nodesNamed(graph, name)) node.inputs = change(node.inputs);
}

/** Replaces one number among the inputs of nodes by another. */
export function changeScalar(graph: Graph, name: RegExp, from: number, to: number): void {
  changeInputs(graph, name, (inputs) =>
    inputs.map((value) => (isScalar(value, from) ? graph.scalar(value.dataType, to) : value)),
  );
}

/** Gives nodes that read a node's first output something else, which `build` makes in the same graph from the node. */
export function replaceOutput(graph: Graph, name: RegExp, build: (node: Node) => Value): void {
  for (const node of nodesNamed(graph, name)) {
    const output = node.outputs[0]!;
    const before = graph.nodes.length;
    const replacement = build(node);
    // Nodes must stand before those that read them.
    const added = graph.nodes.splice(before);
    graph.nodes.splice(graph.nodes.indexOf(node) + 1, 0, ...added);
    for (const reader of graph.nodes as Mutable<Node>[])
      if (!added.includes(reader))
        reader.inputs = reader.inputs.map((value) => (value === output ? replacement : value));
  }
}

function isScalar({ source }: Value, number: number): boolean {
  return source.kind === "constant" && source.data.length === 1 && Number(source.data[0]) === Math.fround(number);
}
