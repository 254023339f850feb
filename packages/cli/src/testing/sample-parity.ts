import {
  type CaseReport,
  type Divergence,
  type ParityEvent,
  type ParityReport,
  parityEventSchema,
  parityReportVersion,
  type Stage,
  type StageReport,
  type StepReport,
  type TensorComparison,
} from "@gradbank/bridge";

/** A tensor that is equal, at 0.8 of 8 times the noise. */
export function sampleComparison(given: Partial<TensorComparison> = {}): TensorComparison {
  return {
    name: "batch0.column0",
    shape: [6, 32],
    equal: true,
    sketched: false,
    zero: false,
    worst: { index: 33, position: [1, 1], ours: 0.25, reference: 0.2500001, difference: 1e-7 },
    rms: 1e-8,
    scale: 0.2,
    mismatched: 0,
    elements: 192,
    cosine: 1,
    normRatio: 1,
    noise: { max: 1e-7, rms: 2e-8 },
    multiple: 0.8,
    limit: 8,
    requiredTolerance: 1e-7,
    ...given,
  };
}

/** Half of what it should be. */
export const halvedGradient: TensorComparison = sampleComparison({
  name: "encoder.layer.0.output.dense.weight",
  equal: false,
  reason: "noise",
  worst: { index: 33, position: [1, 1], ours: 0.125, reference: 0.25, difference: 0.125 },
  mismatched: 192,
  normRatio: 0.5,
  multiple: 512_345,
});

export function sampleStage(stage: Stage, given: Partial<TensorComparison> = {}): StageReport {
  const tensor = sampleComparison(given);
  const { equal, name: worst } = tensor;
  return { stage, equal, multiple: tensor.multiple ?? (equal ? 0 : null), worst, tensors: [tensor], compared: 3 };
}

/** A stage that must be the same, bit by bit. */
export function sampleExactStage(stage: Stage, equal = true): StageReport {
  const { multiple: _, noise: __, ...tensor } = sampleComparison({ equal, limit: 0 });
  return { stage, equal, multiple: equal ? 0 : null, worst: tensor.name, tensors: [tensor], compared: 2 };
}

/** A step without bank whose parameters' gradients are at 3.2 of 8 times the noise. */
export function sampleParityStages(gradients: Partial<TensorComparison> = { multiple: 3.2 }): StageReport[] {
  return [
    sampleExactStage("tokens"),
    sampleStage("embeddings"),
    sampleStage("scores", { multiple: 0 }),
    sampleExactStage("labels"),
    sampleStage("loss", { multiple: 1e-3 }),
    sampleStage("embedding-gradients", { multiple: 1.25 }),
    sampleExactStage("replayed-embeddings"),
    sampleStage("parameter-gradients", { name: "encoder.layer.0.output.dense.weight", ...gradients }),
    sampleStage("clip-norm", { multiple: 0.2 }),
    sampleStage("moments", { multiple: 0.5 }),
    sampleStage("weights", { multiple: 0.5 }),
  ];
}

export function sampleStepReport(step: number, stages = sampleParityStages()): StepReport {
  return {
    step,
    equal: stages.every(({ equal }) => equal),
    loss: { ours: 1.5786, reference: 1.57860001 },
    stages,
    seconds: { ours: 0.1, reference: 0.3, comparison: 0.02 },
  };
}

export const sampleDivergence: Divergence = {
  step: 2,
  stage: "parameter-gradients",
  tensor: halvedGradient.name,
  message: "encoder.layer.0.output.dense.weight: 0.125 at [1, 1] (ours 0.125, reference 0.25), 5.1e5 x noise",
};

/** Five modules, the last of which differs. */
export const sampleWalk: NonNullable<Divergence["activations"]> = [
  ..."embeddings.LayerNorm attention.self.query attention.self.key attention.self.value"
    .split(" ")
    .map((module) => ({ module, comparison: sampleComparison({ name: module }) })),
  {
    module: "attention.output.dense",
    comparison: sampleComparison({ name: "attention.output.dense", equal: false, reason: "noise", multiple: 42.1 }),
  },
];

export function sampleCase(name: string, given: Partial<CaseReport> = {}): CaseReport {
  return {
    name,
    mode: "teacher-forced",
    verdict: "equal",
    reference: "CachedMultipleNegativesRankingLoss",
    settings: {},
    environment: { ours: { node: "20.19.0" }, reference: { torch: "2.13.0" } },
    steps: [sampleStepReport(1), sampleStepReport(2)],
    seconds: 2,
    ...given,
  };
}

const equalCase = sampleCase("pairs");
const differentCase = sampleCase("triplets (dropout=true)", {
  verdict: "different",
  steps: [sampleStepReport(1), sampleStepReport(2, sampleParityStages(halvedGradient))],
  firstDivergence: sampleDivergence,
});
const failedCase = sampleCase("from the hub", {
  verdict: "could-not-compare",
  steps: [],
  error: { code: "model-unavailable", message: "The hub cannot be reached." },
});

/** A report of three cases: equal, different, not compared. */
export const sampleReport: ParityReport = {
  version: parityReportVersion,
  suite: "quick",
  started: "2026-01-02T03:04:05.678Z",
  seconds: 7,
  verdict: "different",
  cases: [equalCase, differentCase, failedCase],
};

/** A report of the first case alone. */
export const equalReport: ParityReport = { ...sampleReport, verdict: "equal", cases: [equalCase] };

/** Everything that happened while `report` came about. */
export function eventsOf({ suite, cases, verdict, seconds }: ParityReport): ParityEvent[] {
  const events: ParityEvent[] = [
    { type: "suite-start", suite, cases: cases.map(({ name }) => ({ name, steps: 2 })) },
    ...cases.flatMap((report): ParityEvent[] => {
      const { name, mode, steps, firstDivergence } = report;
      return [
        { type: "case-start", case: name, mode, steps: 2 },
        ...steps.flatMap((step): ParityEvent[] => [
          { type: "step", case: name, report: step },
          ...(firstDivergence?.step === step.step
            ? [{ type: "divergence", case: name, divergence: firstDivergence } as const]
            : []),
        ]),
        { type: "case-end", case: name, verdict: report.verdict, report },
      ];
    }),
    { type: "suite-end", verdict, seconds },
  ];
  return events.map((event) => parityEventSchema.parse(event));
}
