import type { TensorType, Value } from "./graph.ts";
import type { Lowering } from "./lowering.ts";

/** Settings of a node that are not tensors. */
// biome-ignore lint/suspicious/noExplicitAny: each operator declares the type of its own attributes.
export type Attributes = Record<string, any>;

/** What a vector-Jacobian product may look at. */
export interface GradientContext<A extends Attributes> {
  /** Gradient of the differentiated scalar with respect to the node's first output. */
  readonly outputGradient: Value;
  readonly attributes: A;
  readonly inputCount: number;
  /** Whether the gradient of input `index` is asked for. */
  needs(index: number): boolean;
  /** Type of input `index`; always available. */
  inputType(index: number): TensorType;
  /** Input `index`; only those that `keeps.inputs` declares. */
  input(index: number): Value;
  /** Output `index`; only those that `keeps.outputs` declares. */
  output(index: number): Value;
}

/** One entry of the operator table. */
export interface Operator<A extends Attributes = Attributes> {
  readonly name: string;
  /** Types of the outputs. Refuses with an OperatorFailure. */
  infer(inputs: readonly TensorType[], attributes: A): TensorType[];
  /** Emits ONNX nodes for the lowering's execution provider. */
  lower(lowering: Lowering, inputs: readonly string[], outputs: readonly string[], node: LoweredNode<A>): void;
  /** Which inputs and outputs of the forward pass the gradient reads. Reading any other is an error. */
  readonly keeps?: { readonly inputs?: readonly number[]; readonly outputs?: readonly number[] };
  /** Inputs through which no gradient flows by definition (indices, conditions, masks). */
  readonly constantInputs?: readonly number[];
  /**
   * Vector-Jacobian product: one gradient per input, in the input's type, for each input that needs one.
   * Absent: asking for a gradient through this operator is an error that names it.
   */
  gradient?(context: GradientContext<A>): readonly (Value | undefined)[];
}

// biome-ignore lint/suspicious/noExplicitAny: the table holds operators with different attributes.
export type AnyOperator = Operator<any>;

/** What `lower` knows of its node. */
export interface LoweredNode<A extends Attributes> {
  readonly attributes: A;
  readonly inputs: readonly TensorType[];
  readonly outputs: readonly TensorType[];
}
