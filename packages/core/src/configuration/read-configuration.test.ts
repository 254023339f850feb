import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { configurationJsonSchema, describeField } from "./configuration-json-schema.ts";
import type { ConfigurationError } from "./errors.ts";
import { readConfiguration } from "./read-configuration.ts";

const schema = z.strictObject({
  name: z.string().min(1).describe("Name of the run."),
  loss: z
    .strictObject({
      scale: z.number().gt(0).default(20).describe("Factor of the similarities. Default: 20."),
      directions: z.array(z.enum(["query_to_doc", "doc_to_query"])).default(["query_to_doc"]),
    })
    .prefault({}),
  steps: z.int().min(1).default(3).describe("Updates. Whole number from 1. Default: 3."),
  interval: z.union([z.int().min(1), z.literal("never")]).default("never"),
  device: z.union([z.strictObject({ cpu: z.int().min(1) }), z.strictObject({ cuda: z.int().min(0) })]).optional(),
  tags: z.record(z.string(), z.boolean()).default({}),
  even: z
    .int()
    .refine((value) => value % 2 === 0, "it must be even")
    .optional(),
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradbank-read-configuration-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(content: string, overrides: string[] = []) {
  const file = join(folder, "run.yaml");
  await writeFile(file, content);
  return readConfiguration(file, schema, { overrides });
}

async function problems(content: string, overrides: string[] = []): Promise<string[]> {
  const error = (await read(content, overrides).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )) as ConfigurationError | undefined;
  expect(error).toMatchObject({ name: "ConfigurationError", code: "invalid-configuration" });
  return error!.problems.map(({ line, column, place, message }) =>
    line === undefined ? `${place}: ${message}` : `${line}:${column} ${message}`,
  );
}

describe("readConfiguration", () => {
  it("fills in defaults and puts overrides over the file", async () => {
    const { value, given, locate } = await read("name: x\nloss: { scale: 5 }\n", ["loss.scale=7", "tags.a=true"]);
    expect(value).toEqual({
      name: "x",
      loss: { scale: 7, directions: ["query_to_doc"] },
      steps: 3,
      interval: "never",
      tags: { a: true },
    });
    expect(given).toEqual({ name: "x", loss: { scale: 7 }, tags: { a: true } });
    expect(locate(["name"])).toMatchObject({ line: 1, column: 7 });
    expect(locate(["loss", "scale"])).toEqual({ place: "override loss.scale=7" });
  });

  it("tells every mistake with its place, in the order of the file", async () => {
    expect(
      await problems(
        [
          "loss:",
          "  scal: 5",
          "  scale: 0",
          "  directions: [query_to_doc, doc_to_qurey]",
          "steps: 2.5",
          "stps: 1",
        ].join("\n"),
      ),
    ).toEqual([
      "1:1 name is missing; expected text. (Name of the run.)",
      "2:3 loss.scal (given: 5) is not known. Did you mean scale? Known here: scale, directions.",
      "3:10 loss.scale is 0; expected a number of more than 0. (Factor of the similarities. Default: 20.)",
      '4:30 loss.directions.1 is "doc_to_qurey"; expected one of query_to_doc, doc_to_query. Did you mean doc_to_query?',
      "5:8 steps is 2.5; expected a whole number. (Updates. Whole number from 1. Default: 3.)",
      "6:1 stps (given: 1) is not known. Did you mean steps? Known here: name, loss, steps, interval, device, tags, even.",
    ]);
  });

  it("tells mistakes of every kind", async () => {
    const one = async (line: string) =>
      (await problems(`name: x\n${line}\n`)).map((text) => text.replace(/^2:\d+ /, ""));
    expect(await one("steps: three")).toEqual([
      'steps is "three"; expected a whole number. (Updates. Whole number from 1. Default: 3.)',
    ]);
    expect(await one("steps: 0")).toEqual([
      "steps is 0; expected a whole number of at least 1. (Updates. Whole number from 1. Default: 3.)",
    ]);
    expect(await one("loss: 3")).toEqual(["loss is 3; expected names with values."]);
    expect(await one("loss: { directions: query_to_doc }")).toEqual([
      'loss.directions is "query_to_doc"; expected a list.',
    ]);
    expect(await one("interval: always")).toEqual(['interval is "always"; expected a whole number, or never.']);
    expect(await one("interval: 0")).toEqual(["interval is 0; expected a whole number of at least 1."]);
    expect(await one("device: { cpu: x }")).toEqual(['device.cpu is "x"; expected a whole number.']);
    expect(await one("device: { cpuu: 1, cpu: 2 }")).toEqual([
      "device.cpuu (given: 1) is not known. Did you mean cpu? Known here: cpu, cuda.",
    ]);
    expect(await one("tags: { a: 1 }")).toEqual(["tags.a is 1; expected true or false."]);
    expect(await one("even: 3")).toEqual(["even is 3: it must be even"]);
    expect(await problems("- a\n- b\n")).toEqual(['1:1 the file is ["a","b"]; expected names with values.']);
    expect(await problems('name: ""\n')).toEqual([
      '1:7 name is ""; expected at least 1 characters. (Name of the run.)',
    ]);
  });

  it("tells the override that brought the mistake", async () => {
    expect(await problems("name: x\nsteps: 5\n", ["steps=0", "loss.x=1"])).toEqual([
      "override loss.x=1: loss.x (given: 1) is not known. Known here: scale, directions.",
      "override steps=0: steps is 0; expected a whole number of at least 1. (Updates. Whole number from 1. Default: 3.)",
    ]);
  });

  it("takes every value that the schema takes, and tells a place for every one that it does not", async () => {
    const value = fc.oneof(
      fc.integer(),
      fc.string(),
      fc.boolean(),
      fc.constant(null),
      fc.array(fc.string()),
      fc.double(),
    );
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.constantFrom(...Object.keys(schema.shape), "other"), value), async (given) => {
        const expected = schema.safeParse(JSON.parse(JSON.stringify(given)));
        if (expected.success) expect((await read(JSON.stringify(given))).value).toEqual(expected.data);
        else expect((await problems(JSON.stringify(given))).every((text) => /^1:\d+ \S/.test(text))).toBe(true);
      }),
      { numRuns: 100 },
    );
  });
});

describe("configurationJsonSchema", () => {
  it("has names, defaults and descriptions, and asks for nothing that has a default", () => {
    expect(configurationJsonSchema(schema)).toMatchObject({
      $schema: "http://json-schema.org/draft-07/schema#",
      required: ["name"],
      additionalProperties: false,
      properties: {
        steps: { type: "integer", minimum: 1, default: 3, description: "Updates. Whole number from 1. Default: 3." },
        loss: { properties: { scale: { default: 20, exclusiveMinimum: 0 } } },
      },
    });
  });

  it("is followed through lists, alternatives, references and open mappings", () => {
    const inner = { type: "object", properties: { a: { description: "A." } }, additionalProperties: false };
    const given = {
      definitions: { inner },
      properties: { list: { items: { $ref: "#/definitions/inner" } }, open: { additionalProperties: inner } },
    };
    expect(describeField(given, ["list", 3, "a"])).toMatchObject({ names: undefined, description: "A." });
    expect(describeField(given, ["list", 3])).toMatchObject({ names: ["a"], description: undefined });
    expect(describeField(given, ["open", "anything"]).names).toEqual(["a"]);
    expect(describeField(given, []).names).toBeUndefined();
    expect(describeField({ anyOf: [inner, { type: "null" }] }, ["a"]).description).toBe("A.");
    expect(describeField(given, ["nowhere", "at", "all"])).toEqual({
      names: undefined,
      description: undefined,
      isWhole: false,
    });
  });
});
