import { z } from "zod";
import { OptionError } from "../errors.ts";
import { requireMatchingStrategies } from "./matching-strategies.ts";
import { schedulerTypes } from "./schedule.ts";

const positiveInteger = z.int().min(1);
const share = z.number().min(0).max(1);
const strategy = z.enum(["no", "steps", "epoch"]);
const interval = z.union([z.int().min(1), z.number().gt(0).lt(1)]);

/**
 * The options of a training run, under the names that the Hugging Face Trainer and sentence-transformers use, in
 * camelCase. Each option's description says what it means, its unit and its default; `parseTrainingArguments` checks
 * values against this schema and fills in the defaults.
 */
export const trainingArgumentsSchema = z.strictObject({
  outputDir: z
    .string()
    .min(1)
    .default("trainer_output")
    .describe("Folder that receives events.jsonl, evaluation files and the trained model. Default: trainer_output."),

  perDeviceTrainBatchSize: positiveInteger
    .default(8)
    .describe("Rows of one training batch, that is of one loss. Whole number from 1. Default: 8."),
  perDeviceEvalBatchSize: positiveInteger
    .default(8)
    .describe("Rows of one batch when the loss of the evaluation data is computed. Whole number from 1. Default: 8."),
  batchSampler: z
    .enum(["batch_sampler", "no_duplicates"])
    .default("batch_sampler")
    .describe(
      "How rows become batches: batch_sampler shuffles; no_duplicates shuffles and keeps every text at most once in a batch. Default: batch_sampler.",
    ),
  dataloaderDropLast: z
    .boolean()
    .default(false)
    .describe("Whether a last batch with fewer rows than the others is left out. Default: false."),
  gradientAccumulationSteps: positiveInteger
    .default(1)
    .describe(
      "Batches whose gradients are averaged for one update. It adds no negatives: a larger batch does. Whole number from 1. Default: 1.",
    ),

  numTrainEpochs: z
    .number()
    .gt(0)
    .default(3)
    .describe("Passes over the training data; a fraction ends inside a pass. Number above 0. Default: 3."),
  maxSteps: z
    .union([z.literal(-1), positiveInteger])
    .default(-1)
    .describe(
      "Number of updates; takes precedence over numTrainEpochs. Whole number from 1, or -1 for unset. Default: -1.",
    ),

  learningRate: z
    .number()
    .min(0)
    .default(5e-5)
    .describe("Highest learning rate of AdamW. Number from 0. Default: 0.00005."),
  lrSchedulerType: z
    .enum(schedulerTypes)
    .default("linear")
    .describe(
      "How the learning rate changes after the warm-up: linear, cosine (along half a wave) and polynomial fall to 0 at the end; cosine_with_restarts falls lrSchedulerKwargs.numCycles times; constant (which has no warm-up) and constant_with_warmup stay; inverse_sqrt falls with the root of the updates. Default: linear.",
    ),
  lrSchedulerKwargs: z
    .strictObject({
      numCycles: z.number().gt(0).optional().describe("cosine: waves, 0.5 is one fall. cosine_with_restarts: falls."),
      power: z.number().gt(0).optional().describe("polynomial: exponent. Default: 1."),
      lrEnd: z.number().min(0).optional().describe("polynomial: rate at the end. Default: 0.0000001."),
      timescale: z
        .number()
        .gt(0)
        .optional()
        .describe("inverse_sqrt: updates after which the rate is 1 / sqrt(2). Default: the warm-up's, or 10000."),
    })
    .optional()
    .describe(
      "More settings of the schedule: numCycles (cosine, cosine_with_restarts), power and lrEnd (polynomial), timescale (inverse_sqrt). Default: none.",
    ),
  warmupRatio: share
    .default(0)
    .describe("Share of all updates in which the learning rate rises from 0; rounded up. From 0 to 1. Default: 0."),
  warmupSteps: z
    .union([z.int().min(0), z.number().min(0).lt(1)])
    .default(0)
    .describe(
      "Updates in which the learning rate rises from 0, or, below 1, their share of all updates. When not 0 it takes precedence over warmupRatio. Default: 0.",
    ),
  weightDecay: z
    .number()
    .min(0)
    .default(0)
    .describe("Decoupled weight decay of AdamW; biases and normalisation layers have none. Number from 0. Default: 0."),
  adamBeta1: share
    .lt(1)
    .default(0.9)
    .describe("Decay of AdamW's running mean of the gradients. From 0, below 1. Default: 0.9."),
  adamBeta2: share
    .lt(1)
    .default(0.999)
    .describe("Decay of AdamW's running mean of the squared gradients. From 0, below 1. Default: 0.999."),
  adamEpsilon: z
    .number()
    .min(0)
    .default(1e-8)
    .describe("Added to the root of AdamW's second moment. Number from 0. Default: 0.00000001."),
  maxGradNorm: z
    .number()
    .min(0)
    .default(1)
    .describe(
      "Highest L2 norm of all gradients together; larger ones are scaled down. 0 turns clipping off. Default: 1.",
    ),

  seed: z
    .int()
    .min(0)
    .max(0xffff_ffff)
    .default(42)
    .describe(
      "Start of every random choice: order of the rows, dropout. Whole number from 0 to 4294967295. Default: 42.",
    ),

  loggingStrategy: strategy
    .default("steps")
    .describe(
      "When to write log entries: never, every loggingSteps updates, or at the end of every epoch. Default: steps.",
    ),
  loggingSteps: interval
    .default(500)
    .describe("Updates between two log entries, or, below 1, their share of all updates, rounded up. Default: 500."),
  loggingFirstStep: z.boolean().default(false).describe("Whether the first update is logged too. Default: false."),
  evalStrategy: strategy
    .default("no")
    .describe(
      "When to evaluate: never, every evalSteps updates and after the last one, or at the end of every epoch. Default: no.",
    ),
  evalSteps: interval
    .optional()
    .describe(
      "Updates between two evaluations, or, below 1, their share of all updates, rounded up. Default: the same as loggingSteps.",
    ),
  evalDelay: z
    .number()
    .min(0)
    .default(0)
    .describe(
      "Updates (evalStrategy steps) or epochs (evalStrategy epoch) before the first evaluation. Number from 0. Default: 0.",
    ),
  bankDriftSteps: interval
    .optional()
    .describe(
      "Updates between two measurements of the bank's drift, or, below 1, their share of all updates. Default: the same as loggingSteps.",
    ),
  evalOnStart: z.boolean().default(false).describe("Whether to evaluate before the first update. Default: false."),

  saveStrategy: strategy
    .default("steps")
    .describe(
      "When to save a checkpoint that training can go on from: never, every saveSteps updates and after the last one, or at the end of every epoch. Default: steps.",
    ),
  saveSteps: interval
    .default(500)
    .describe("Updates between two checkpoints, or, below 1, their share of all updates, rounded up. Default: 500."),
  saveTotalLimit: positiveInteger
    .optional()
    .describe(
      "Checkpoints to keep: older ones are deleted, but never the last and the best one. Whole number from 1. Default: all.",
    ),
  loadBestModelAtEnd: z
    .boolean()
    .default(false)
    .describe(
      "Whether the run ends with the weights of the best checkpoint; saving must then fall on evaluations. Default: false.",
    ),
  metricForBestModel: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Metric that tells the better model: "loss" for eval_loss, or a metric of the evaluator, with or without eval_. Default: loss with loadBestModelAtEnd, else none.',
    ),
  greaterIsBetter: z
    .boolean()
    .optional()
    .describe(
      "Whether greater values of metricForBestModel are better. Default: whether its name does not end in loss.",
    ),
});

/** What a user passes: every option may be left out. */
export type TrainingArgumentsInput = z.input<typeof trainingArgumentsSchema>;

/**
 * The options of a run with every default filled in. What follows from others is filled in too: `metricForBestModel` is
 * "loss" with `loadBestModelAtEnd`, and `greaterIsBetter` is set where there is a metric.
 */
export type TrainingArguments = z.output<typeof trainingArgumentsSchema>;

/**
 * Checks the options of a training run and fills in the defaults.
 *
 * @param given Options by name; anything else than an object is refused.
 * @throws OptionError code "unknown-option" (facts: option, value, closest, known) or "invalid-option" (facts: option,
 *   value, expected) on the first option that cannot be used, alone or beside the others.
 */
export function parseTrainingArguments(given: unknown): TrainingArguments {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new OptionError(
      "invalid-option",
      `Training arguments are ${showValue(given)}; expected an object such as { perDeviceTrainBatchSize: 64, learningRate: 2e-5 }.`,
      { option: "arguments", value: given, expected: "an object" },
    );
  }
  const known = Object.keys(trainingArgumentsSchema.shape);
  const result = trainingArgumentsSchema.safeParse(given);
  if (result.success) return withBestModel(result.data);
  const values = given as Record<string, unknown>;
  const unknown = Object.keys(values).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const closest = closestName(unknown, known);
    throw new OptionError(
      "unknown-option",
      `Training argument ${unknown} (given: ${showValue(values[unknown])}) is not known. ` +
        `${closest === undefined ? "" : `Did you mean ${closest}? `}Known arguments: ${known.join(", ")}.`,
      { option: unknown, value: values[unknown], closest, known },
    );
  }
  const option = String(result.error.issues[0]?.path[0]) as keyof TrainingArguments;
  const expected = trainingArgumentsSchema.shape[option].description ?? "";
  throw new OptionError(
    "invalid-option",
    `Training argument ${option} is ${showValue(values[option])}, which cannot be used. ${option}: ${expected}`,
    { option, value: values[option], expected },
  );
}

/** Fills in what tells the better model, as transformers' `TrainingArguments.__post_init__`, and checks it. */
function withBestModel(given: TrainingArguments): TrainingArguments {
  requireMatchingStrategies(given);
  const metricForBestModel = given.metricForBestModel ?? (given.loadBestModelAtEnd ? "loss" : undefined);
  if (metricForBestModel === undefined) return given;
  return {
    ...given,
    metricForBestModel,
    greaterIsBetter: given.greaterIsBetter ?? !metricForBestModel.endsWith("loss"),
  };
}

/**
 * The name that was probably meant: equal when case, underscores and hyphens are left out, else the one fewest
 * single-character edits away (Levenshtein 1966), if those are at most two fifths of its length.
 */
export function closestName(name: string, known: readonly string[]): string | undefined {
  const plain = (text: string) => text.replace(/[-_\s]/g, "").toLowerCase();
  let best: string | undefined;
  let fewest = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const edits = editDistance(plain(name), plain(candidate));
    if (edits < fewest && edits <= candidate.length * 0.4) {
      best = candidate;
      fewest = edits;
    }
  }
  return best;
}

function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const replaced = previous[column - 1]! + (from[row - 1] === to[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[to.length]!;
}

function showValue(value: unknown): string {
  if (typeof value === "number" || typeof value === "bigint" || value === undefined) return String(value);
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}
