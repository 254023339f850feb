import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gradients } from "./gradient.ts";
import { Graph, type Value } from "./graph.ts";
import * as op from "./index.ts";
import { operatorTable } from "./operators/table.ts";
import { type NumberTensor, prepare } from "./testing/evaluate.ts";
import { differentiableCases, drawInputs, type OperatorCase } from "./testing/operator-cases.ts";

/** ONNX Runtime's CPU provider has no double-precision Erf; these two are differenced in single precision. */
const singlePrecision = new Set(["erf", "gelu"]);

/** Step and tolerance of the differences. */
function precision(operator: string): { step: number; tolerance: number } {
  return singlePrecision.has(operator) ? { step: 1e-2, tolerance: 2e-3 } : { step: 1e-5, tolerance: 1e-7 };
}

/** Rules that need no case: `cast` is tested by itself, `stopGradient` has no rule. */
const testedElsewhere = new Set(["cast"]);

describe("every gradient rule equals central finite differences", () => {
  for (const [operator, cases] of Object.entries(differentiableCases))
    it(operator, async () => {
      await fc.assert(
        fc.asyncProperty(cases, fc.nat(), (item, seed) => compareWithDifferences(item, seed)),
        { numRuns: 20 },
      );
    });

  it("covers the whole table", () => {
    const withRule = [...operatorTable.values()].filter((entry) => entry.gradient).map((entry) => entry.name);
    expect(withRule.filter((name) => !testedElsewhere.has(name)).sort()).toEqual(
      Object.keys(differentiableCases).sort(),
    );
  });
});

async function compareWithDifferences(item: OperatorCase, seed: number): Promise<void> {
  const single = singlePrecision.has(item.operator);
  const dataType = single ? "float32" : "float64";
  const { step, tolerance } = precision(item.operator);
  const graph = new Graph(item.operator);
  const inputs = item.inputs.map((input, index) =>
    graph.input(`input${index}`, input.dataType === "float64" ? dataType : input.dataType, input.shape),
  );
  const output = item.build(inputs, graph);
  const weights = graph.input("weights", dataType, output.shape);
  const loss = op.reduceSum(op.multiply(output, weights));
  const differentiated = inputs.filter((_, index) => item.inputs[index]!.dataType === "float64");
  const derivatives = gradients([{ of: loss }], differentiated);

  const values = drawInputs(item.inputs, seed);
  const cotangent = drawInputs([{ dataType, shape: output.shape as number[], values: [-1, 1] }], seed + 1)[0]!;
  const feeds = (): Record<string, NumberTensor> => ({
    weights: { dataType, shape: output.shape as number[], values: cotangent },
    ...Object.fromEntries(
      inputs.map((input, index) => [
        input.name,
        { dataType: input.dataType, shape: input.shape as number[], values: values[index]! },
      ]),
    ),
  });

  const run = await prepare(graph, {
    total: loss,
    ...Object.fromEntries(differentiated.map((input, index) => [`d_${input.name}`, derivatives[index]!])),
  });
  try {
    const analytic = await run(feeds());
    for (const input of differentiated) {
      const index = inputs.indexOf(input);
      const numeric: number[] = [];
      for (let element = 0; element < values[index]!.length; element++) {
        const original = values[index]![element]!;
        values[index]![element] = original + step;
        const above = (await run(feeds())).total!.values[0]!;
        values[index]![element] = original - step;
        const below = (await run(feeds())).total!.values[0]!;
        values[index]![element] = original;
        numeric.push((above - below) / (2 * step));
      }
      const scale = Math.max(1, ...numeric.map(Math.abs));
      analytic[`d_${input.name}`]!.values.forEach((value, element) => {
        expect(
          Math.abs(value - numeric[element]!),
          `${item.operator}: d/d${input.name}[${element}] is ${value}, finite difference ${numeric[element]}`,
        ).toBeLessThanOrEqual(tolerance * scale);
      });
    }
  } finally {
    await run.release();
  }
}

describe("gradients", () => {
  it("sums what arrives along several paths and through shared values", async () => {
    const graph = new Graph("paths");
    const x = graph.input("x", "float64", [2]);
    const y = op.multiply(x, x);
    const loss = op.reduceSum(op.add(op.multiply(y, y), op.multiply(y, 3)));
    const [dx, dy] = gradients([{ of: loss }], [x, y]) as [Value, Value];
    const run = await prepare(graph, { dx, dy });
    const result = await run({ x: { dataType: "float64", shape: [2], values: [2, -1] } });
    // d/dx (x^4 + 3 x^2) = 4 x^3 + 6 x; d/dy (y^2 + 3 y) = 2 y + 3.
    expect(result.dx!.values).toEqual([44, -10]);
    expect(result.dy!.values).toEqual([11, 5]);
    await run.release();
  });

  it("keeps the precision of a cast value", async () => {
    const graph = new Graph("cast");
    const x = graph.input("x", "float32", [2]);
    const wide = op.cast(x, "float64");
    const [dx] = gradients([{ of: op.reduceSum(op.multiply(wide, wide)) }], [x]) as [Value];
    expect(dx.dataType).toBe("float32");
    const run = await prepare(graph, { dx });
    expect((await run({ x: { dataType: "float32", shape: [2], values: [1.5, -2] } })).dx!.values).toEqual([3, -4]);
    await run.release();
  });

  it("takes a symbolic batch through reshape, concat, slice and pad", async () => {
    const graph = new Graph("symbols");
    const x = graph.input("x", "float64", ["batch", "length", 2]);
    const flat = op.reshape(x, ["batch*length", 2]);
    const doubled = op.concat([flat, op.multiply(flat, flat)], 0);
    const tail = op.slice(doubled, 0, "batch*length", "2*batch*length");
    const loss = op.reduceSum(op.reshape(tail, ["batch", "length", 2]));
    const [dx] = gradients([{ of: loss }], [x]) as [Value];
    expect(dx.shape).toEqual(["batch", "length", 2]);
    const run = await prepare(graph, { dx });
    const values = Array.from({ length: 12 }, (_, index) => index - 5);
    const result = await run({ x: { dataType: "float64", shape: [2, 3, 2], values } });
    expect(result.dx!.values).toEqual(values.map((value) => 2 * value));
    await run.release();
  });

  it("names backward nodes after the forward node they belong to", () => {
    const graph = new Graph("names");
    const x = graph.input("x", "float32", [3]);
    const y = graph.scope("layer0", () => op.tanh(x));
    gradients([{ of: op.reduceSum(y) }], [x]);
    const backward = graph.nodes.filter((node) => node.backwardOf === "layer0/tanh");
    expect(backward.length).toBeGreaterThan(0);
    expect(backward.every((node) => node.name.startsWith("backward/layer0/tanh/"))).toBe(true);
  });

  it("refuses an operator without a rule by name, with its shapes", () => {
    const graph = new Graph("rules");
    const x = graph.input("x", "float32", ["rows", 4]);
    const loss = op.reduceSum(op.cumulativeSum(x, 1));
    expect(() => gradients([{ of: loss }], [x])).toThrow(
      /Operator cumulativeSum has no gradient rule \(node "cumulativeSum", inputs \[rows, 4\]\)/,
    );
  });

  it("refuses a value that has no influence instead of returning zeros", () => {
    const graph = new Graph("influence");
    const x = graph.input("x", "float32", [2]);
    const unused = graph.input("unused", "float32", [2]);
    expect(() => gradients([{ of: op.reduceSum(x) }], [unused])).toThrow(/"unused" has no influence on "reduceSum"/);
    expect(() => gradients([{ of: op.reduceSum(op.stopGradient(x)) }], [x])).toThrow(/"x" has no influence/);
  });

  it("refuses a target that is no number, an integer and a gradient of another shape", () => {
    const graph = new Graph("targets");
    const x = graph.input("x", "float32", [2]);
    const ids = graph.input("ids", "int64", [2]);
    expect(() => gradients([{ of: op.exp(x) }], [x])).toThrow(/has shape \[2\]; only a value of rank 0/);
    expect(() => gradients([{ of: op.reduceSum(x) }], [ids])).toThrow(/"ids" is int64/);
    expect(() => gradients([{ of: x, gradient: graph.input("g", "float32", [3]) }], [x])).toThrow(
      /must be float32 \[2\]; "g" is float32 \[3\]/,
    );
  });
});
