import { z } from "zod";
import { tensorComparisonSchema } from "../comparison/tensor-comparison.ts";
import { stages } from "../lockstep/stages.ts";

/** Version of the report; raised when a reader of the old one would misread the new one. */
export const parityReportVersion = 1;

export const verdicts = ["equal", "different", "could-not-compare"] as const;
/** Outcome of a step, a case or a report. */
export type Verdict = (typeof verdicts)[number];

export const stageReportSchema = z.strictObject({
  stage: z.enum(stages),
  equal: z.boolean(),
  multiple: z
    .number()
    .nullable()
    .describe("Worst tensor's difference as a multiple of the noise floor (or of the tolerance); null when infinite."),
  worst: z.string().describe("Name of that tensor."),
  tensors: z
    .array(tensorComparisonSchema)
    .describe("Tensors that differ, and the worst one. Those that are equal are counted, not listed."),
  compared: z.int().min(0).describe("Tensors compared."),
});
export type StageReport = z.infer<typeof stageReportSchema>;

/** One output on the walk through the encoder. */
export const activationReportSchema = z.strictObject({
  module: z.string().describe("The module's name in the model, as PyTorch has it."),
  comparison: tensorComparisonSchema,
});

export const divergenceSchema = z.strictObject({
  step: z.int().min(1),
  stage: z.enum(stages),
  tensor: z.string(),
  message: z.string().describe("One line: what, where, both values."),
  activations: z
    .array(activationReportSchema)
    .optional()
    .describe("Outputs of the encoder's modules in the order of computation, up to the first that differs."),
});
export type Divergence = z.infer<typeof divergenceSchema>;

export const stepReportSchema = z.strictObject({
  step: z.int().min(1),
  equal: z.boolean(),
  loss: z.strictObject({ ours: z.number().nullable(), reference: z.number().nullable() }),
  stages: z.array(stageReportSchema).describe("In the order of the data."),
  seconds: z
    .strictObject({ ours: z.number(), reference: z.number(), comparison: z.number() })
    .describe("Time of our side, of waiting for the reference, and of everything else."),
});
export type StepReport = z.infer<typeof stepReportSchema>;

export const caseReportSchema = z.strictObject({
  name: z.string(),
  mode: z.enum(["teacher-forced", "free-running"]),
  verdict: z.enum(verdicts),
  reference: z.string().describe("Class of the reference's loss, and where it comes from."),
  settings: z.record(z.string(), z.unknown()).describe("The case as the suite file resolved it."),
  environment: z.strictObject({
    ours: z.record(z.string(), z.union([z.string(), z.number()])),
    reference: z.record(z.string(), z.union([z.string(), z.number()])),
  }),
  configuration: stageReportSchema.optional(),
  steps: z.array(stepReportSchema),
  firstDivergence: divergenceSchema.optional(),
  error: z.strictObject({ code: z.string(), message: z.string() }).optional().describe("Why it could not be compared."),
  seconds: z.number(),
});
export type CaseReport = z.infer<typeof caseReportSchema>;

/** Everything that `gradbank parity` found: what the JSON report holds and all other reports are drawn from. */
export const parityReportSchema = z.strictObject({
  version: z.literal(parityReportVersion),
  suite: z.string(),
  started: z.iso.datetime(),
  seconds: z.number(),
  verdict: z.enum(verdicts),
  cases: z.array(caseReportSchema),
  notes: z
    .array(z.string())
    .optional()
    .describe("What went wrong beside the comparison: a golden folder that was not written."),
});
export type ParityReport = z.infer<typeof parityReportSchema>;

/** What happens while a suite runs, in order; `gradbank parity --json` writes one a line. */
export const parityEventSchema = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("suite-start"),
    suite: z.string(),
    cases: z.array(z.strictObject({ name: z.string(), steps: z.int() })),
  }),
  z.strictObject({
    type: z.literal("case-start"),
    case: z.string(),
    mode: z.enum(["teacher-forced", "free-running"]),
    steps: z.int(),
  }),
  z.strictObject({ type: z.literal("configuration"), case: z.string(), stage: stageReportSchema }),
  z.strictObject({ type: z.literal("step"), case: z.string(), report: stepReportSchema }),
  z.strictObject({ type: z.literal("divergence"), case: z.string(), divergence: divergenceSchema }),
  z.strictObject({
    type: z.literal("case-end"),
    case: z.string(),
    verdict: z.enum(verdicts),
    report: caseReportSchema,
  }),
  z.strictObject({ type: z.literal("suite-end"), verdict: z.enum(verdicts), seconds: z.number() }),
]);
export type ParityEvent = z.infer<typeof parityEventSchema>;
