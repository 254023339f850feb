const marker = Symbol.for("gradbank.error");

/**
 * Base of every error that gradbank throws on purpose.
 *
 * The message says what was given, where, what was expected and what to do next; `code` is stable and meant for
 * programs; `facts` holds the same facts as values. `GradbankError.isInstance` also recognises errors that come from
 * another copy of the package.
 */
export class GradbankError extends Error {
  readonly code: string;
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, facts: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    this.facts = facts;
    Object.defineProperty(this, marker, { value: true });
  }

  static isInstance(value: unknown): value is GradbankError {
    return typeof value === "object" && value !== null && marker in value;
  }
}

export type GraphErrorCode =
  | "shape-mismatch"
  | "data-type-mismatch"
  | "duplicate-name"
  | "unknown-value"
  | "foreign-value"
  | "no-gradient-rule"
  | "not-differentiable"
  | "unsupported-on-provider"
  | "invalid-attribute";

/** A graph that cannot be: names the node, its operator and the shapes involved. */
export class GraphError extends GradbankError {
  declare readonly code: GraphErrorCode;
  constructor(code: GraphErrorCode, message: string, facts: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(code, message, facts, options);
  }
}

/** Thrown by an operator's `infer`; the graph adds node, operator and shapes to the message. */
export class OperatorFailure extends Error {
  readonly code: GraphErrorCode;
  constructor(code: GraphErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
