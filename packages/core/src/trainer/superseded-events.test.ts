import { expect, test } from "vitest";
import { everyKindOfEvent } from "../testing/trainer-events.ts";
import { createEvent, type EventOfType, type TrainingEvent } from "./events.ts";
import { withoutSupersededEvents } from "./superseded-events.ts";

const { resumedFrom: _, ...start } = everyKindOfEvent[0] as EventOfType<"run-start">;
const resumed = (step: number): TrainingEvent => ({ ...start, step, resumedFrom: { folder: "a", step } });
const log = (step: number) => createEvent("log", step, { epoch: 1, loss: step, gradNorm: 1, learningRate: 1 });
const saved = (step: number) =>
  createEvent("checkpoint-saved", step, { epoch: 1, folder: `checkpoint-${step}`, isResumable: true });
const failed = (step: number) => createEvent("run-error", step, { name: "Error", message: "killed" });

test("what came after the checkpoint is taken out, also at its own step, and how the part ended", () => {
  const begin = [start, log(1), log(2), saved(2)];
  const end = [log(3), saved(3)];
  expect(withoutSupersededEvents([...begin, log(2), log(3), failed(3), resumed(2), ...end])).toEqual([
    ...begin,
    resumed(2),
    ...end,
  ]);
});

test("a checkpoint that the killed run could not announce counts too", () => {
  expect(withoutSupersededEvents([start, log(1), log(2), resumed(2), log(3)])).toEqual([
    start,
    log(1),
    log(2),
    resumed(2),
    log(3),
  ]);
});

test("resumed twice, then begun anew", () => {
  const twice = [start, log(1), saved(1), log(2), resumed(1), log(2), saved(2), log(3), resumed(1), log(2)];
  expect(withoutSupersededEvents(twice)).toEqual([start, log(1), saved(1), resumed(1), log(2)]);
  expect(withoutSupersededEvents([...twice, start, log(1)])).toEqual([start, log(1)]);
});
