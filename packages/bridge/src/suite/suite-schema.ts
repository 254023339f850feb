import { configurationJsonSchema } from "@gradbank/core";
import { z } from "zod";

const count = z.int().min(1);
const wholeFromZero = z.int().min(0);

/** A field that may be left out. */
function field<S extends z.ZodType>(schema: S, description: string, value: z.util.NoUndefined<z.output<S>>) {
  const shown = typeof value === "string" ? value : JSON.stringify(value).replaceAll('"', "").replaceAll(",", ", ");
  return (schema.default(value) as z.ZodDefault<S>).describe(`${description} Default: ${shown}.`);
}

/** Fields that belong together, all of which may be left out. */
function group<S extends z.ZodObject>(schema: S, description: string) {
  return (schema.prefault({} as z.input<S>) as z.ZodPrefault<S>).describe(description);
}

/** Kinds of models; a case has one of them. */
export const modelKinds = ["random", "folder", "hub", "pretrained"] as const;

/** Kinds of data; a case has one of them. */
export const dataKinds = ["texts", "file", "wordNet"] as const;

/** What a random model is made of. */
const randomModelFields = {
  layers: field(count, "Layers of a random model. Whole number from 1.", 2),
  hiddenSize: field(count, "Width of a random model; a multiple of its heads. Whole number from 1.", 32),
  heads: field(count, "Attention heads of a random model. Whole number from 1.", 4),
  intermediateSize: field(count, "Width of a random model's feed-forward layers. Whole number from 1.", 64),
  vocabSize: field(
    count,
    "Most tokens of a random model's vocabulary; few texts give fewer. Whole number from 1.",
    400,
  ),
  maxPositionEmbeddings: field(
    count,
    "Rows of a random model's position table; RoBERTa, XLM-RoBERTa and MPNet have two fewer positions.",
    64,
  ),
  pooling: field(
    z.enum(["mean", "cls", "max", "weightedmean", "lasttoken"]),
    "How a random model's token vectors become an embedding.",
    "mean",
  ),
  normalize: field(z.boolean(), "Whether a random model ends in a Normalize module.", false),
  dropout: field(z.number().min(0).lt(1), "Rate of every dropout of a random model. From 0, below 1.", 0.1),
  seed: field(wholeFromZero, "Seed of a random model's weights. Whole number from 0.", 0),
};

/** Names of the fields that only a random model has. */
export const randomModelFieldNames = Object.keys(randomModelFields);

const modelSchema = z.strictObject({
  random: z
    .enum(["bert", "roberta", "xlm-roberta", "mpnet", "distilbert"])
    .optional()
    .describe("Architecture of a small random model that Python makes. Default, where no other model is named: bert."),
  folder: z.string().min(1).optional().describe("Folder of a model, as seen from the suite file."),
  hub: z.string().min(1).optional().describe("Identifier of a model of the Hugging Face hub: organisation/name."),
  pretrained: z
    .enum(["all-MiniLM-L6-v2"])
    .optional()
    .describe("A trained model that comes with the Python reference as a package: no hub is needed."),
  ...randomModelFields,
});

export const textsSchema = z.strictObject({
  words: field(count, "Different words that the texts are made of. Whole number from 1.", 120),
  rows: count
    .optional()
    .describe("Rows of the data; more steps go over them again. Default: as many as the case needs."),
  seed: field(wholeFromZero, "Seed of the texts. Whole number from 0.", 0),
  lengths: field(z.tuple([count, count]), "Fewest and most words of a text. Two whole numbers from 1.", [1, 12]),
  repeats: field(
    z.number().min(0).max(1),
    "Share of the rows with one text that other rows have too, in other batches: what maskDuplicates is for. From 0 to 1.",
    0.25,
  ),
});

const dataSchema = z.strictObject({
  texts: textsSchema.optional().describe("Texts of made-up words. Default, where no other data is named: {}."),
  file: z
    .string()
    .min(1)
    .optional()
    .describe("File of texts, as seen from the suite file: .csv, .tsv or .jsonl with a column for each text of a row."),
  columns: z
    .array(z.string().min(1))
    .min(2)
    .optional()
    .describe("Columns of the file to take, anchor first. Default: its first ones."),
  wordNet: z.literal(true).optional().describe("Pairs of definition and word from WordNet, in English."),
});

const bankSchema = z.strictObject({
  capacity: count
    .optional()
    .describe("Rows kept per column; with compatibility pr-3612: batches. Whole number from 1. A bank must have it."),
  compatibility: z
    .enum(["pr-3612"])
    .optional()
    .describe("Do what pull request 3612 of sentence-transformers does. Default: not."),
  resetAtOptimizerStep: field(z.boolean(), "Empty the bank after each update.", false),
  pushAt: field(z.enum(["forward", "optimizerStep"]), "When rows enter the bank.", "forward"),
  cacheQueries: field(z.boolean(), "Let cached queries be rows of the loss.", true),
  rowWeighting: field(
    z.enum(["all", "current"]),
    "A row weighs 1 / (rows of the loss), or 1 / (rows of the batch).",
    "all",
  ),
  warmupSteps: field(wholeFromZero, "Updates before the bank is read. Whole number from 0.", 0),
  maskDuplicates: z
    .boolean()
    .optional()
    .describe("Take out cached candidates that repeat a row's own texts. Default: true, but false with pr-3612."),
});

const lossSchema = z.strictObject({
  class: field(
    z.enum(["MultipleNegativesRankingLoss", "CachedMultipleNegativesRankingLoss"]),
    "Our loss.",
    "CachedMultipleNegativesRankingLoss",
  ),
  scale: z.number().gt(0).optional().describe("Factor of the similarities. Number above 0. Default: 20."),
  temperature: z
    .number()
    .gt(0)
    .optional()
    .describe("The reciprocal of scale; give one of the two. Number above 0. Default: not used."),
  similarityFunction: field(z.enum(["cos_sim", "dot_score"]), "Similarity of two embeddings.", "cos_sim"),
  directions: field(
    z.array(z.enum(["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"])).min(1),
    "Directions in which samples are told apart; query_to_doc always.",
    ["query_to_doc"],
  ),
  partitionMode: field(
    z.enum(["joint", "per_direction"]),
    "One softmax over all directions, or one for each.",
    "joint",
  ),
  hardnessMode: field(
    z.enum(["in_batch_negatives", "hard_negatives", "all_negatives"]).nullable(),
    "Which negatives are made harder; needs hardnessStrength.",
    null,
  ),
  hardnessStrength: field(z.number().min(0), "How much harder. Number from 0.", 0),
  miniBatchSize: field(
    count,
    "Rows encoded at once by the cached loss; the direct one has no use for it. Whole number from 1.",
    32,
  ),
  miniBatchNumTokens: field(
    count.nullable(),
    "Most tokens encoded at once by the cached loss, in place of miniBatchSize.",
    null,
  ),
  bank: field(bankSchema.nullable(), "Embeddings of earlier batches as further negatives.", null),
});

const referenceSchema = z.strictObject({
  class: z
    .string()
    .regex(
      /^(?:(?:Cached)?MultipleNegativesRankingLoss|PullRequest3612|ContAccum|.+\.py:[A-Za-z_]\w*)$/,
      "(Cached)MultipleNegativesRankingLoss, PullRequest3612, ContAccum, or path/to/file.py:ClassName",
    )
    .optional()
    .describe(
      "Python's loss: a class of sentence-transformers, PullRequest3612, ContAccum, or path/to/file.py:ClassName as seen from the suite file. Default: what fits our loss.",
    ),
  options: z
    .record(z.string(), z.unknown())
    .optional()
    .describe(
      "Keyword arguments of that class in Python's spelling; in camelCase, too, where it is not a file's. Default: what fits our loss, or none for a class of a file.",
    ),
});

const argumentsSchema = z.strictObject({
  learningRate: field(z.number().min(0), "Highest learning rate of AdamW. Number from 0.", 2e-5),
  warmupSteps: field(
    wholeFromZero,
    "Updates in which the learning rate rises from 0; afterwards it falls to 0. Whole number from 0.",
    0,
  ),
  weightDecay: field(
    z.number().min(0),
    "Decoupled weight decay; biases and normalisation layers have none. Number from 0.",
    0.01,
  ),
  adamBeta1: field(z.number().min(0).lt(1), "Decay of AdamW's first moment. From 0, below 1.", 0.9),
  adamBeta2: field(z.number().min(0).lt(1), "Decay of AdamW's second moment. From 0, below 1.", 0.999),
  adamEpsilon: field(z.number().min(0), "Added to the root of the second moment. Number from 0.", 1e-8),
  maxGradNorm: field(z.number().min(0), "Norm to which all gradients together are clipped; 0: not at all.", 1),
});

const limitsSchema = z.strictObject({
  multiple: z
    .number()
    .gt(0)
    .optional()
    .describe("Largest difference that is equal, as a multiple of the noise floor. Default: the comparison's own."),
  absolute: z
    .number()
    .min(0)
    .optional()
    .describe(
      "Fixed tolerance where there is no noise to judge by: absolute + relative * |reference|. Default: the comparison's own.",
    ),
  relative: z
    .number()
    .min(0)
    .optional()
    .describe("Relative part of the fixed tolerance. Default: the comparison's own."),
});

/** What a case consists of, but for its name: `defaults` of a suite are of this form, too. */
const caseFields = {
  model: group(modelSchema, "The model that both sides load. Default: { random: bert }."),
  maxSequenceLength: field(
    count.nullable(),
    "Most tokens of a text, special tokens included; null: what the model says.",
    null,
  ),
  data: group(dataSchema, "The texts. Default: { texts: {} }."),
  columns: field(
    z.int().min(2),
    "Texts of a row: 2 for pairs, 3 with one negative, and so on. Whole number from 2.",
    2,
  ),
  batchSize: field(z.int().min(2), "Rows of a batch. Whole number from 2.", 6),
  lastBatch: field(
    count.nullable(),
    "Rows of the short batch that ends a pass over the data: the last batch of the case, and the last one of its first half; null: no short batch.",
    null,
  ),
  gradientAccumulationSteps: field(count, "Batches of a step. Whole number from 1.", 1),
  steps: field(count, "Updates to compare. Whole number from 1.", 3),
  seed: field(
    z.int().min(0).max(0xffff_ffff),
    "Seed of the batches and of the dropout masks. Whole number from 0 to 4294967295.",
    42,
  ),
  loss: group(lossSchema, "Our loss. Default: { class: CachedMultipleNegativesRankingLoss }."),
  reference: group(referenceSchema, "The loss that ours is held against. Default: what fits our loss."),
  dropout: field(z.boolean(), "Whether both sides drop out, with the same masks, which we draw.", false),
  mode: field(
    z.enum(["teacher-forced", "free-running"]),
    "teacher-forced: every step starts from the reference's state; free-running: each side goes its own way.",
    "teacher-forced",
  ),
  arguments: group(argumentsSchema, "Arguments of the update. Default: {}."),
  parametersEvery: field(
    count,
    "Compare gradients of the weights, moments and weights in the first step and in every so many. Whole number from 1.",
    1,
  ),
  noise: field(
    z.boolean(),
    "Whether the reference computes in float64, too, so that its rounding is the measure.",
    true,
  ),
  limits: group(limitsSchema, "What counts as equal. Default: {}."),
  wholeTensors: field(
    z.enum(["small", "all"]),
    "Which tensors Python sends whole: those of up to 65,536 elements, or all.",
    "small",
  ),
};

const nameAndDescription = {
  name: z.string().min(1).describe("Name of the case."),
  description: z.string().default("").describe("What the case is to show."),
};

/** A case with everything written out: what remains when defaults, matrix and overrides have been put together. */
export const writtenCaseSchema = z.strictObject({ ...nameAndDescription, ...caseFields });
export type WrittenCase = z.output<typeof writtenCaseSchema>;

/** A suite file. */
export const suiteSchema = z.strictObject({
  name: z.string().min(1).describe("Name of the suite."),
  description: z.string().default("").describe("What the suite is to show."),
  defaults: z
    .strictObject(caseFields)
    .optional()
    .describe("Fields of all cases that do not say otherwise. Default: {}."),
  cases: z
    .array(
      z.strictObject({
        ...nameAndDescription,
        ...caseFields,
        matrix: z
          .record(z.string(), z.array(z.unknown()).min(1))
          .optional()
          .describe(
            "Fields with several values each, their names with dots: the case is repeated for every combination. Default: {}.",
          ),
      }),
    )
    .min(1)
    .describe("What to compare, one after the other. At least one."),
});

/** JSON schema of a suite file; suites/suite.schema.json holds it, for completion in editors. */
export function suiteJsonSchema(): Record<string, unknown> {
  return configurationJsonSchema(suiteSchema);
}
