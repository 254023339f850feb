import { describe, expect, it } from "vitest";
import { ConfigurationError } from "./errors.ts";
import { applyOverrides, parseOverrides } from "./override.ts";

function refusal(work: () => unknown): ConfigurationError {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return error as ConfigurationError;
  }
  throw new Error("nothing was refused");
}

describe("parseOverrides", () => {
  it("reads names with dots and values in YAML", () => {
    const values = ["a.b=10", "a=[x, y]", "a=null", "a=1e-3", "a=", "a= ", "a='1'", "a=x=y", "a={b: true}"].map(
      (text) => parseOverrides("f.yaml", [text])[0]!.value,
    );
    expect(values).toEqual([10, ["x", "y"], null, 0.001, "", "", "1", "x=y", { b: true }]);
    expect(parseOverrides("f.yaml", ["a.0.b=1"])[0]!.path).toEqual(["a", 0, "b"]);
  });

  it("tells all that cannot be read", () => {
    const error = refusal(() => parseOverrides("f.yaml", ["good=1", "loss.scale", "=1", "a..b=1", "a=[1, 2"]));
    expect(error.code).toBe("invalid-override");
    expect(error.problems.map(({ place }) => place)).toEqual([
      "override loss.scale",
      "override =1",
      "override a..b=1",
      "override a=[1, 2",
    ]);
    expect(error.message).toMatch(/^f\.yaml has 4 mistakes/);
  });
});

describe("applyOverrides", () => {
  const apply = (value: unknown, ...texts: string[]) =>
    applyOverrides("f.yaml", value, parseOverrides("f.yaml", texts));

  it("puts them in, in their order", () => {
    expect(apply({ a: { b: 1, c: 2 } }, "a.b=5", "d.e=6", "a.b=7")).toEqual({ a: { b: 7, c: 2 }, d: { e: 6 } });
    expect(apply({ a: [1, 2] }, "a.1=x")).toEqual({ a: [1, "x"] });
  });

  it("says where there is no place", () => {
    const error = refusal(() => apply({ a: { b: "text" } }, "a.b.c.d=1"));
    expect(error).toMatchObject({ code: "invalid-override", problems: [{ path: "a.b.c.d" }] });
    expect(error.message).toBe('override a.b.c.d=1: there is no place for c in a.b, which is "text".');
    expect(refusal(() => apply({ a: [1] }, "a.1=2")).message).toMatch(/no place for 1 in a, which is \[1\]/);
  });
});
