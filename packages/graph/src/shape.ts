import { GraphError } from "./errors.ts";

/**
 * A dimension: a number, or a symbolic polynomial with integer coefficients in canonical text, such as `"batch"`,
 * `"batch*length"` or `"2*batch+cached"`. Symbols are known when a session runs; they are read from the graph's inputs.
 */
export type Dimension = number | string;

export type Shape = readonly Dimension[];

/** Polynomial: monomial (sorted symbols joined by `*`, "" for the constant) to coefficient. */
type Polynomial = Map<string, number>;

const symbolPattern = /^[A-Za-z_][A-Za-z0-9_.]*$/;

function parse(dimension: Dimension): Polynomial {
  if (typeof dimension === "number") return new Map(dimension === 0 ? [] : [["", dimension]]);
  const polynomial: Polynomial = new Map();
  for (const [, sign, term] of dimension.matchAll(/([+-]?)([^+-]+)/g)) {
    let coefficient = sign === "-" ? -1 : 1;
    const symbols: string[] = [];
    for (const factor of term!.split("*")) {
      const number = Number(factor);
      if (Number.isInteger(number)) coefficient *= number;
      else if (symbolPattern.test(factor)) symbols.push(factor);
      else
        throw new GraphError(
          "invalid-attribute",
          `"${dimension}" is no dimension: "${factor}" is neither an integer nor a symbol (letters, digits, "_" and "."). Write it as in "batch*length" or "2*batch+cached".`,
          { dimension },
        );
    }
    addTerm(polynomial, symbols.sort().join("*"), coefficient);
  }
  return polynomial;
}

function addTerm(polynomial: Polynomial, monomial: string, coefficient: number): void {
  const sum = (polynomial.get(monomial) ?? 0) + coefficient;
  if (sum === 0) polynomial.delete(monomial);
  else polynomial.set(monomial, sum);
}

function format(polynomial: Polynomial): Dimension {
  const terms = [...polynomial].sort(([a], [b]) => (a === "" ? 1 : b === "" ? -1 : a < b ? -1 : 1));
  if (terms.length === 0) return 0;
  if (terms.length === 1 && terms[0]![0] === "") return terms[0]![1];
  let text = "";
  for (const [monomial, coefficient] of terms) {
    const size = Math.abs(coefficient);
    const term = monomial === "" ? `${size}` : size === 1 ? monomial : `${size}*${monomial}`;
    text += coefficient < 0 ? `-${term}` : text === "" ? term : `+${term}`;
  }
  return text;
}

/** The canonical form, in which equal polynomials are equal values. */
export function canonicalDimension(dimension: Dimension): Dimension {
  return typeof dimension === "number" ? dimension : format(parse(dimension));
}

export function addDimensions(a: Dimension, b: Dimension): Dimension {
  const sum = parse(a);
  for (const [monomial, coefficient] of parse(b)) addTerm(sum, monomial, coefficient);
  return format(sum);
}

export function subtractDimensions(a: Dimension, b: Dimension): Dimension {
  return addDimensions(a, multiplyDimensions(b, -1));
}

export function multiplyDimensions(a: Dimension, b: Dimension): Dimension {
  const product: Polynomial = new Map();
  const right = parse(b);
  for (const [monomial, coefficient] of parse(a))
    for (const [otherMonomial, otherCoefficient] of right) {
      const symbols = [...monomial.split("*"), ...otherMonomial.split("*")].filter((symbol) => symbol !== "");
      addTerm(product, symbols.sort().join("*"), coefficient * otherCoefficient);
    }
  return format(product);
}

/** The number of elements of a shape. */
export function elementCount(shape: Shape): Dimension {
  return shape.reduce<Dimension>(multiplyDimensions, 1);
}

/** The terms of a symbolic dimension: its value is the sum of `coefficient` times the product of `symbols`. */
export function dimensionTerms(dimension: Dimension): { coefficient: number; symbols: string[] }[] {
  return [...parse(dimension)].map(([monomial, coefficient]) => ({
    coefficient,
    symbols: monomial === "" ? [] : monomial.split("*"),
  }));
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dimension, axis) => dimension === b[axis]);
}

/** Numpy's broadcasting; two different symbols never broadcast, because nothing proves them equal. */
export function broadcastShapes(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const shape: Dimension[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left === right || right === 1) shape.push(left);
    else if (left === 1) shape.push(right);
    else return undefined;
  }
  return shape;
}

/** A shape as it stands in messages: `[batch, length, 384]`. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}
