import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { everyKindOfEvent } from "../testing/trainer-events.ts";
import { createEvent, encodeEvent, eventJsonSchema, type TrainingEvent, trainingEventSchema } from "./events.ts";

const decode = (line: string): TrainingEvent => trainingEventSchema.parse(JSON.parse(line));

test.each(everyKindOfEvent.map((event) => [event.type, event] as const))(
  "%s survives writing and reading",
  (_type, event) => {
    const line = encodeEvent(event);
    expect(line).not.toContain("\n");
    expect(decode(line)).toEqual(event);
  },
);

test("numbers survive exactly, those that are not finite too", () => {
  fc.assert(
    fc.property(
      fc.double(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.nat(),
      (loss, learningRate, step) => {
        const event = createEvent("log", step, { epoch: 1, loss, gradNorm: loss, learningRate });
        const { loss: readLoss, learningRate: readRate } = decode(encodeEvent(event)) as typeof event;
        // JSON knows no negative zero.
        expect(readLoss).toBe(loss === 0 ? 0 : loss);
        expect(readRate).toBe(learningRate === 0 ? 0 : learningRate);
      },
    ),
  );
});

test("line feeds inside texts do not end the line", () => {
  const event = createEvent("warning", 3, { code: "text", message: "first\nsecond\r\nthird\u2028fourth" });
  const line = encodeEvent(event);
  expect(line.split("\n")).toHaveLength(1);
  expect(decode(line)).toEqual(event);
});

describe("what is no event is refused", () => {
  const good = createEvent("log", 1, { epoch: 0.5, loss: 1, gradNorm: 1, learningRate: 1 });
  test.each([
    ["another version", { ...good, version: 2 }],
    ["an unknown type", { ...good, type: "step-begin" }],
    ["a local time", { ...good, time: "2026-01-02 03:04:05" }],
    ["a negative step", { ...good, step: -1 }],
    ["a missing field", { ...good, loss: undefined }],
    ["a number as text", { ...good, loss: "1.5" }],
  ])("%s", (_what, value) => {
    expect(trainingEventSchema.safeParse(value).success).toBe(false);
  });

  test("the good one is not", () => {
    expect(trainingEventSchema.safeParse(good).success).toBe(true);
  });
});

test("fields of a later writer are dropped, not refused", () => {
  const event = createEvent("warning", 0, { code: "a", message: "b" });
  expect(decode(JSON.stringify({ ...event, hue: "green" }))).toEqual(event);
});

test("the JSON schema lists every type with its required fields", () => {
  const schema = eventJsonSchema() as unknown as {
    oneOf: { properties: Record<string, { const?: unknown }>; required: string[] }[];
  };
  expect(schema.oneOf.map(({ properties }) => properties.type?.const)).toEqual(
    everyKindOfEvent.map(({ type }) => type),
  );
  for (const [index, { required, properties }] of schema.oneOf.entries()) {
    expect(required).toEqual(expect.arrayContaining(["type", "version", "time", "step"]));
    expect(properties.version?.const).toBe(1);
    expect(Object.keys(properties)).toEqual(expect.arrayContaining(Object.keys(everyKindOfEvent[index]!)));
  }
  expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
});
