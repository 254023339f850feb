import { describe, expect, it } from "vitest";
import { GradbankError, GraphError } from "./errors.ts";
import { Graph } from "./graph.ts";
import * as op from "./index.ts";

describe("Graph", () => {
  it("refuses shapes that cannot be, naming node, operator and shapes", () => {
    const graph = new Graph("shapes");
    const a = graph.input("a", "float32", ["batch", 3]);
    const b = graph.input("b", "float32", ["batch", 4]);
    const refuse = () => graph.scope("scores", () => op.add(a, b));
    expect(refuse).toThrow(GraphError);
    expect(refuse).toThrow(
      /Node "scores\/add(_\d)?" \(add\) of graph "shapes": the shapes cannot be broadcast to one\. Given: a: float32 \[batch, 3\]; b: float32 \[batch, 4\]\./,
    );
    try {
      op.matmul(a, b);
    } catch (error) {
      expect(GradbankError.isInstance(error) && error.code).toBe("shape-mismatch");
      expect(GradbankError.isInstance(error) && error.facts).toMatchObject({
        operator: "matmul",
        shapes: [
          ["batch", 3],
          ["batch", 4],
        ],
      });
    }
  });

  it("refuses two symbols that nothing proves equal", () => {
    const graph = new Graph("symbols");
    const a = graph.input("a", "float32", ["rows"]);
    const b = graph.input("b", "float32", ["columns"]);
    expect(() => op.add(a, b)).toThrow(/cannot be broadcast/);
    expect(() => op.reshape(a, ["columns"])).toThrow(/rows elements cannot take the shape \[columns\] of columns/);
  });

  it("refuses a name used twice", () => {
    const graph = new Graph("names");
    graph.input("x", "float32", [1]);
    expect(() => graph.input("x", "float32", [2])).toThrow(/already has a value named "x"/);
  });

  it("refuses values of another graph", () => {
    const x = new Graph("one").input("x", "float32", [1]);
    const y = new Graph("two").input("y", "float32", [1]);
    expect(() => op.add(x, y)).toThrow(/"y" belongs to graph "two" and cannot be an input of add in graph "one"/);
  });

  it("refuses element types that do not fit", () => {
    const graph = new Graph("types");
    const x = graph.input("x", "float32", [2]);
    const ids = graph.input("ids", "int64", [2]);
    expect(() => op.add(x, ids)).toThrow(/expected inputs of one element type, got float32 and int64/);
    expect(() => op.exp(ids)).toThrow(/expected floating-point inputs, got int64/);
    expect(() => op.gather(x, x)).toThrow(/indices must be int32 or int64, got float32/);
  });

  it("refuses a constant whose elements are not as many as its shape says", () => {
    expect(() => new Graph("constants").constant("float32", [2, 2], new Float32Array(3))).toThrow(
      /shape \[2, 2\] needs 4 elements; 3 were given/,
    );
  });

  it("stores a number once and gives nodes unique names", () => {
    const graph = new Graph("unique");
    const x = graph.input("x", "float32", [2]);
    expect(op.add(x, 1).source).not.toBe(op.add(x, 1).source);
    expect(graph.scalar("float32", 1)).toBe(graph.scalar("float32", 1));
    expect(graph.nodes.map((node) => node.name)).toEqual(["add", "add_2"]);
  });
});
