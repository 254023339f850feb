import { isFloating } from "./data-type.ts";
import { GraphError } from "./errors.ts";
import type { Node, Value } from "./graph.ts";
import type { AnyOperator } from "./operator.ts";
import { add } from "./operators/elementwise.ts";
import { formatShape, sameShape } from "./shape.ts";

/** A value to differentiate. */
export interface DifferentiationTarget {
  readonly of: Value;
  /** Gradient that arrives at `of`, in its type. Default: 1, for which `of` must have rank 0. */
  readonly gradient?: Value;
}

/**
 * Appends the reverse-mode derivative of `targets` to their graph and returns its value for each of
 * `withRespectTo`, in the same order and with the same types.
 *
 * The backward nodes are named `backward/<forward node>/...` and carry the forward node's name.
 *
 * @throws GraphError "no-gradient-rule" when the path crosses an operator without a rule, "not-differentiable" when
 * no path leads from a target to one of `withRespectTo`: there is no silent zero.
 */
export function gradients(targets: readonly DifferentiationTarget[], withRespectTo: readonly Value[]): Value[] {
  const graph = targets[0]?.of.graph;
  if (!graph) throw new GraphError("not-differentiable", "gradients() needs at least one target to differentiate.");
  for (const value of withRespectTo)
    if (!isFloating(value.dataType))
      throw new GraphError(
        "not-differentiable",
        `"${value.name}" is ${value.dataType}; gradients exist only with respect to floating-point values.`,
        { value: value.name, dataType: value.dataType },
      );

  const dependent = dependentValues(graph.nodes, withRespectTo);
  const pending = new Map<Value, Value[]>();
  for (const target of targets) push(pending, target.of, seedGradient(target));

  for (const node of [...graph.nodes].reverse()) {
    const contributions = pending.get(node.outputs[0]!);
    const stray = node.outputs.slice(1).find((output) => pending.has(output));
    if (stray)
      throw new GraphError(
        "no-gradient-rule",
        `Output "${stray.name}" of node "${node.name}" (${node.operator.name}) is kept for the backward pass and has no gradient of its own.`,
        { node: node.name, operator: node.operator.name, output: stray.name },
      );
    if (!contributions || !dependent.has(node.outputs[0]!)) continue;
    graph.backwardScope(node.name, () => {
      const outputGradient = sum(contributions);
      // A requested intermediate keeps its gradient, complete by now, beside passing it on.
      pending.set(node.outputs[0]!, [outputGradient]);
      differentiateNode(node, outputGradient, dependent, pending);
    });
  }

  return withRespectTo.map((value) => {
    const contributions = pending.get(value);
    if (!contributions)
      throw new GraphError(
        "not-differentiable",
        `"${value.name}" has no influence on ${targets.map((target) => `"${target.of.name}"`).join(", ")}: there is no gradient to return. Leave it out, or check that the graph uses it.`,
        { value: value.name, targets: targets.map((target) => target.of.name) },
      );
    return contributions.length === 1 ? contributions[0]! : graph.backwardScope(value.name, () => sum(contributions));
  });
}

function dependentValues(nodes: readonly Node[], sources: readonly Value[]): Set<Value> {
  const dependent = new Set<Value>(sources);
  for (const node of nodes)
    if (node.inputs.some((input, index) => dependent.has(input) && !isConstantInput(node.operator, index)))
      dependent.add(node.outputs[0]!);
  return dependent;
}

function differentiateNode(
  node: Node,
  outputGradient: Value,
  dependent: ReadonlySet<Value>,
  pending: Map<Value, Value[]>,
): void {
  const { operator } = node;
  if (!operator.gradient)
    throw new GraphError(
      "no-gradient-rule",
      `Operator ${operator.name} has no gradient rule (node "${node.name}", inputs ${node.inputs.map((input) => formatShape(input.shape)).join(" ")}). Add a vector-Jacobian product to its entry, or cut the path with stopGradient.`,
      { node: node.name, operator: operator.name, shapes: node.inputs.map((input) => input.shape) },
    );
  const needs = node.inputs.map((input, index) => dependent.has(input) && !isConstantInput(operator, index));
  const results = operator.gradient({
    outputGradient,
    attributes: node.attributes,
    inputCount: node.inputs.length,
    needs: (index) => needs[index] ?? false,
    inputType: (index) => node.inputs[index]!,
    input: (index) => kept(node, "inputs", index),
    output: (index) => kept(node, "outputs", index),
  });
  node.inputs.forEach((input, index) => {
    if (!needs[index]) return;
    const gradient = results[index];
    if (!gradient || gradient.dataType !== input.dataType || !sameShape(gradient.shape, input.shape))
      throw new GraphError(
        "shape-mismatch",
        `The gradient rule of ${operator.name} gave ${gradient ? `${gradient.dataType} ${formatShape(gradient.shape)}` : "nothing"} for input ${index} of node "${node.name}", which is ${input.dataType} ${formatShape(input.shape)}.`,
        { node: node.name, operator: operator.name, input: index, expected: input.shape, given: gradient?.shape },
      );
    push(pending, input, gradient);
  });
}

function kept(node: Node, side: "inputs" | "outputs", index: number): Value {
  if (!node.operator.keeps?.[side]?.includes(index))
    throw new GraphError(
      "invalid-attribute",
      `The gradient rule of ${node.operator.name} reads ${side}[${index}] but its table entry does not keep it.`,
      { node: node.name, operator: node.operator.name, side, index },
    );
  return node[side][index]!;
}

function seedGradient({ of, gradient }: DifferentiationTarget): Value {
  if (!gradient) {
    if (of.shape.length > 0)
      throw new GraphError(
        "shape-mismatch",
        `"${of.name}" has shape ${formatShape(of.shape)}; only a value of rank 0 can be differentiated without a gradient that arrives at it. Reduce it or pass "gradient".`,
        { value: of.name, shape: of.shape },
      );
    return of.graph.scalar(of.dataType, 1);
  }
  if (gradient.dataType !== of.dataType || !sameShape(gradient.shape, of.shape))
    throw new GraphError(
      "shape-mismatch",
      `The gradient that arrives at "${of.name}" must be ${of.dataType} ${formatShape(of.shape)}; "${gradient.name}" is ${gradient.dataType} ${formatShape(gradient.shape)}.`,
      { value: of.name, expected: of.shape, given: gradient.shape },
    );
  return gradient;
}

function isConstantInput(operator: AnyOperator, index: number): boolean {
  return operator.constantInputs?.includes(index) ?? false;
}

function push(pending: Map<Value, Value[]>, value: Value, gradient: Value): void {
  const contributions = pending.get(value);
  if (contributions) contributions.push(gradient);
  else pending.set(value, [gradient]);
}

function sum(contributions: readonly Value[]): Value {
  return contributions.reduce((total, gradient) => add(total, gradient));
}
