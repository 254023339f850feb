import { Reference, type Tensor } from "@gradbank/bridge";
import { type DataType, Graph, operatorTable, serializeGraph } from "@gradbank/graph";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { evaluate } from "../../packages/graph/src/testing/evaluate.ts";
import { constantCases, differentiableCases, drawInputs } from "../../packages/graph/src/testing/operator-cases.ts";

let reference: Reference;
beforeAll(async () => {
  reference = await Reference.start({ threads: 1 });
});
afterAll(() => reference?.close());

const cases = { ...differentiableCases, ...constantCases };

/** Operators that need no case here: what they compute is in the name, or they are tested where they are defined. */
const testedElsewhere = ["cast", "range", "stopGradient", "greaterOrEqual"];

/** ONNX Runtime computes these in single precision only. */
const singlePrecision = new Set(["erf", "gelu"]);

describe("every operator computes what numpy computes, and passes onnx.checker", () => {
  for (const [operator, arbitrary] of Object.entries(cases)) {
    if (testedElsewhere.includes(operator)) continue;
    it(operator, async () => {
      await fc.assert(
        fc.asyncProperty(arbitrary, fc.nat(), async (item, seed) => {
          const floating = singlePrecision.has(operator) ? "float32" : "float64";
          const graph = new Graph(operator);
          const inputs = item.inputs.map((input, index) =>
            graph.input(`input${index}`, input.dataType === "float64" ? floating : input.dataType, input.shape),
          );
          const output = item.build(inputs, graph);
          const values = drawInputs(item.inputs, seed);
          const { y } = await evaluate(
            graph,
            { y: output },
            Object.fromEntries(
              inputs.map((input, index) => [
                input.name,
                { dataType: input.dataType, shape: input.shape as number[], values: values[index]! },
              ]),
            ),
          );
          const expected = await reference.evaluateOperator(
            operator,
            inputs.map((input, index) => tensor(input.dataType, input.shape as number[], values[index]!)),
            item.attributes,
          );
          expect(y!.shape).toEqual(expected.shape);
          expect(y!.shape).toEqual(output.shape);
          // LayerNormalization keeps its statistics in float32 whatever its input is.
          const precision = floating === "float32" || operator === "layerNormalization" ? 2e-6 : 1e-12;
          y!.values.forEach((value, index) => {
            const wanted = Number(expected.data[index]);
            expect(
              Math.abs(value - wanted),
              `${operator}[${index}]: ${value} instead of ${wanted}`,
            ).toBeLessThanOrEqual(precision * Math.max(1, Math.abs(wanted)));
          });
          expect(await reference.checkOnnx(serializeGraph(graph, { outputs: { y: output } }).bytes)).toBeUndefined();
        }),
        { numRuns: 10 },
      );
    });
  }

  it("leaves out no operator", () => {
    expect([...Object.keys(cases), "cast", "range", "stopGradient"].sort()).toEqual([...operatorTable.keys()].sort());
  });
});

function tensor(dataType: DataType, shape: readonly number[], values: readonly number[]): Tensor {
  const of = { dtype: dataType, shape: [...shape] };
  switch (dataType) {
    case "float32":
      return { ...of, data: Float32Array.from(values) } as Tensor;
    case "float64":
      return { ...of, data: Float64Array.from(values) } as Tensor;
    case "int32":
      return { ...of, data: Int32Array.from(values) } as Tensor;
    case "int64":
      return { ...of, data: BigInt64Array.from(values, BigInt) } as Tensor;
    default:
      return { ...of, data: Uint8Array.from(values) } as Tensor;
  }
}
