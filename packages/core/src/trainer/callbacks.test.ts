import { expect, test } from "vitest";
import { GradbankError, TrainingError } from "../errors.ts";
import { notifyCallbacks, type TrainerCallback, type TrainerControl } from "./callbacks.ts";
import { createEvent } from "./events.ts";

const progress = { step: 3, maxSteps: 10, epoch: 0.3 };
const log = createEvent("log", 3, { epoch: 0.3, loss: 1, gradNorm: 1, learningRate: 1 });

test("callbacks are called in order, each awaited, with the event; those without the hook are passed over", async () => {
  const calls: unknown[] = [];
  const callbacks: TrainerCallback[] = [
    {
      async onLog(...values) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        calls.push(["first", ...values]);
      },
    },
    { onTrainEnd: () => void calls.push("never") },
    { onLog: (...values) => void calls.push(["third", ...values]) },
  ];
  const control: TrainerControl = { shouldStop: false };
  await notifyCallbacks(callbacks, "onLog", progress, control, log);
  expect(calls).toEqual([
    ["first", progress, control, log],
    ["third", progress, control, log],
  ]);
});

test("a callback keeps its own state and can ask for the end", async () => {
  class StopAt implements TrainerCallback {
    readonly #last = 3;
    onStepEnd({ step }: { step: number }, control: TrainerControl): void {
      control.shouldStop ||= step >= this.#last;
    }
  }
  const control: TrainerControl = { shouldStop: false };
  const event = createEvent("step-end", 2, {
    epoch: 0,
    loss: 1,
    learningRate: 1,
    gradNorm: 1,
    pairsPerSecond: 1,
    timings: {},
  });
  await notifyCallbacks([new StopAt()], "onStepEnd", { ...progress, step: 2 }, control, event);
  expect(control.shouldStop).toBe(false);
  await notifyCallbacks([new StopAt()], "onStepEnd", progress, control, event);
  expect(control.shouldStop).toBe(true);
});

test.each([
  [
    "throws",
    () => {
      throw new Error("disk on fire");
    },
  ],
  ["rejects", () => Promise.reject(new Error("disk on fire"))],
])("a callback that %s: hook, place and step are named and the cause is kept", async (_how, onOptimizerStep) => {
  const failure = notifyCallbacks([{}, { onOptimizerStep }], "onOptimizerStep", progress, { shouldStop: false });
  const error = await failure.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(TrainingError);
  expect(GradbankError.isInstance(error) && error.code).toBe("callback-failed");
  expect(error).toMatchObject({
    facts: { hook: "onOptimizerStep", callback: 1, step: 3 },
    message: expect.stringContaining("Callback 2 of 2 threw in onOptimizerStep at step 3: disk on fire"),
    cause: expect.objectContaining({ message: "disk on fire" }),
  });
});
