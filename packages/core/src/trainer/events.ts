import { z } from "zod";

/**
 * A measured number. JSON cannot write a number that is not finite, but a loss that became NaN must stay visible: such
 * numbers are written as "NaN", "Infinity" and "-Infinity" and read back as numbers.
 */
export const measured = z.union([z.number(), z.enum(["NaN", "Infinity", "-Infinity"]).transform(Number)]);

const count = z.int().min(0);

const base = {
  version: z.literal(1).describe("Version of this event's schema."),
  time: z.iso.datetime().describe("When it happened, ISO 8601 in UTC."),
  step: count.describe("Updates done when it happened; 0 before the first."),
};

/** The first event of a run: everything that does not change while it runs. */
export const runStartSchema = z.object({
  type: z.literal("run-start"),
  ...base,
  arguments: z.record(z.string(), z.unknown()).describe("Training arguments with all defaults filled in."),
  loss: z.object({
    name: z.string().describe("Class of the loss."),
    options: z.record(z.string(), z.unknown()).describe("Its options with all defaults filled in."),
  }),
  data: z.object({
    trainRows: count.describe("Rows to train on."),
    evalRows: count.describe("Rows whose loss is evaluated; 0 without evaluation data."),
    columns: z.array(z.string()).describe("Text columns in the order of their roles: anchor, positive, negatives."),
  }),
  model: z.object({
    name: z.string().describe("Folder or hub identifier that it was loaded from."),
    architecture: z.string().describe("For example BertModel."),
    embeddingDimension: count.describe("Length of an embedding."),
    parameterCount: count.describe("Number of trained weights."),
  }),
  banks: z
    .array(
      z.object({
        capacity: count.describe("Rows kept per column; batches in the mode of pull request 3612."),
        bytes: count.describe("Memory that the bank takes, all of it allocated before the first update."),
      }),
    )
    .optional()
    .describe("Banks of earlier embeddings that the loss uses."),
  device: z.string().describe("Execution provider of ONNX Runtime: cpu, webgpu or cuda."),
  versions: z
    .record(z.string(), z.string())
    .describe("Versions of gradbank, Node, ONNX Runtime and the like, by name."),
  maxSteps: count.describe("Updates of the whole run."),
  batchesPerEpoch: count.describe("Batches of one pass over the data."),
  updatesPerEpoch: count.describe("Updates of one pass over the data."),
  warmupSteps: count.describe("Updates in which the learning rate rises."),
  resumedFrom: z
    .object({
      folder: z.string().describe("The checkpoint."),
      step: count.describe("Updates done in it."),
    })
    .optional()
    .describe(
      "When the run goes on from a checkpoint. What was written after that checkpoint, before this event, is superseded: it happens again.",
    ),
});

/** One update of the weights. */
export const stepEndSchema = z.object({
  type: z.literal("step-end"),
  ...base,
  epoch: z.number().describe("Passes over the data done, with a fraction."),
  loss: measured.describe("Mean loss of the update's batches."),
  learningRate: z.number().describe("Rate that the update used."),
  gradNorm: measured.describe("L2 norm of all gradients before clipping."),
  pairsPerSecond: z.number().describe("Training rows of the update, divided by its seconds."),
  timings: z.record(z.string(), z.number()).describe("Milliseconds that the update spent, by phase."),
  gradientNorms: z
    .object({
      queries: measured.describe("L2 norm of the loss's gradient with respect to the queries' embeddings."),
      documents: measured.describe("The same for all documents' embeddings."),
      ratio: measured.describe("Documents over queries; far from 1 is the imbalance that the dual bank prevents."),
    })
    .optional()
    .describe("Of the update's last batch."),
  bank: z
    .object({
      rows: count.describe("Cached rows that took part."),
      oldestAge: count.describe("Updates since the oldest of them entered."),
      positiveRank: measured.describe("Documents that score higher than a row's positive, on average."),
      maskedDuplicates: count.describe("Pairs of a row and a cached document taken out as duplicates."),
    })
    .optional()
    .describe("Of the update's last batch; absent while the bank is empty or warming up."),
});

/** How far cached embeddings have drifted from what the encoder gives now. */
export const bankDriftSchema = z.object({
  type: z.literal("bank-drift"),
  ...base,
  rows: count.describe("Cached documents that were encoded again."),
  meanCosine: measured.describe("Mean cosine of a cached embedding and the same text's embedding now; 1 is no drift."),
  leastCosine: measured.describe("The least of these cosines."),
});

/** The Trainer's log entry: means since the last one. */
export const logSchema = z.object({
  type: z.literal("log"),
  ...base,
  epoch: z.number().describe("Passes over the data done, with a fraction."),
  loss: measured.describe("Mean loss of the updates since the last entry."),
  gradNorm: measured.describe("L2 norm of the last update's gradients before clipping."),
  learningRate: z.number().describe("Rate that the last update used."),
});

/** An evaluation has ended. */
export const evaluationEndSchema = z.object({
  type: z.literal("evaluation-end"),
  ...base,
  epoch: z.number().describe("Passes over the data done, with a fraction."),
  metrics: z.record(z.string(), measured).describe("The evaluator's numbers under its own names, and eval_loss."),
  primaryMetric: z.string().optional().describe("Name of the metric that tells the better model."),
  evalRuntime: z.number().describe("Seconds that the evaluation took."),
});

/** A checkpoint or the model itself lies completely on disk. */
export const checkpointSavedSchema = z.object({
  type: z.literal("checkpoint-saved"),
  ...base,
  epoch: z.number().describe("Passes over the data done, with a fraction."),
  folder: z.string().describe("Where it was saved."),
  isResumable: z.boolean().describe("Whether training can go on from it; false for a bare model."),
});

/** Something that a person should know and that did not stop the run. */
export const warningSchema = z.object({
  type: z.literal("warning"),
  ...base,
  code: z.string().describe("Stable name for programs."),
  message: z.string(),
  facts: z.record(z.string(), z.unknown()).optional().describe("The message's facts as values."),
});

/** The last event of every run, however it ended. */
export const runEndSchema = z.object({
  type: z.literal("run-end"),
  ...base,
  epoch: z.number().describe("Passes over the data done, with a fraction."),
  reason: z
    .enum(["completed", "interrupted", "failed"])
    .describe("completed: the run's own end; interrupted: stopped on request; failed: a run-error precedes."),
  isStoppedEarly: z
    .boolean()
    .optional()
    .describe("Whether a callback, such as early stopping, made this the end before all updates were done."),
  totals: z.object({
    trainRuntime: z.number().describe("Seconds of the whole run, evaluations included."),
    trainSamplesPerSecond: z.number().describe("Training rows divided by trainRuntime."),
    trainStepsPerSecond: z.number().describe("Updates divided by trainRuntime."),
    trainLoss: measured.describe("Mean loss of all updates."),
  }),
  bestModel: z
    .object({
      step: count.describe("Updates done when it was evaluated."),
      metric: z.string().describe("Name of the metric that tells the better model."),
      value: measured.describe("Its value."),
      isLoaded: z.boolean().describe("Whether the run ended with these weights."),
    })
    .optional()
    .describe("The best evaluation, where metricForBestModel says what is best."),
  modelFolder: z.string().optional().describe("Where the model was saved, when the run saved it."),
});

/** The error that ends a run. */
export const runErrorSchema = z.object({
  type: z.literal("run-error"),
  ...base,
  name: z.string().describe("Class of the error."),
  code: z.string().optional().describe("Stable name for programs, of a GradbankError."),
  message: z.string(),
  facts: z.record(z.string(), z.unknown()).optional().describe("The message's facts as values."),
  stack: z.string().optional(),
});

/**
 * One line of events.jsonl, the contract between the trainer and everything that watches it. Fields that a later
 * writer adds are dropped when read; a new version of an event is a new `version`.
 */
export const trainingEventSchema = z.discriminatedUnion("type", [
  runStartSchema,
  stepEndSchema,
  bankDriftSchema,
  logSchema,
  evaluationEndSchema,
  checkpointSavedSchema,
  warningSchema,
  runEndSchema,
  runErrorSchema,
]);

export type TrainingEvent = z.output<typeof trainingEventSchema>;
export type TrainingEventType = TrainingEvent["type"];
/** The event of one type, for example `EventOfType<"step-end">`. */
export type EventOfType<Type extends TrainingEventType> = Extract<TrainingEvent, { type: Type }>;

/**
 * An event that happens now.
 *
 * @param step Updates done; 0 before the first.
 * @param fields What this type of event carries.
 * @param time Default: the present.
 */
export function createEvent<Type extends TrainingEventType>(
  type: Type,
  step: number,
  fields: Omit<EventOfType<Type>, "type" | "version" | "time" | "step">,
  time: Date = new Date(),
): EventOfType<Type> {
  return { type, version: 1, time: time.toISOString(), step, ...fields } as unknown as EventOfType<Type>;
}

/** One line of events.jsonl, without the line feed. Numbers that are not finite become strings. */
export function encodeEvent(event: TrainingEvent): string {
  return JSON.stringify(event, encodeMeasured);
}

/** Replacer of `JSON.stringify` that writes numbers which are not finite as `measured` reads them. */
export function encodeMeasured(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

/** The JSON schema (draft 2020-12) of a line of events.jsonl, for readers in other languages. */
export function eventJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(trainingEventSchema, { io: "input" });
}
