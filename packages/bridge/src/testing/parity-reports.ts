import fc from "fast-check";
import { reasons, type TensorComparison } from "../comparison/tensor-comparison.ts";
import { type Stage, stageOrder, stages } from "../lockstep/stages.ts";
import type { CaseReport, ParityReport, StageReport, StepReport } from "../report/parity-report.ts";
import { parityReportVersion, verdicts } from "../report/parity-report.ts";
import { reportVerdict } from "../report/report-summary.ts";

/** Texts that break pages, attributes and XML which do not escape them. */
export const hostileTexts = [
  "</script><script>alert(1)</script>",
  "<!--",
  "]]>",
  `"' onload='alert(1)`,
  "&amp;&lt;",
  "\0\x08\x0b\x1f\x7f\ufffe\uffff",
  "\ud800 lone \udfff",
  "line\nbreak\r\n\ttab",
  "\u2028\u2029",
  "toString",
  "größer – 中文 🙂",
  "",
];

const text = fc
  .oneof(
    { weight: 1, arbitrary: fc.constantFrom(...hostileTexts) },
    { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 20 }) },
    { weight: 2, arbitrary: fc.string({ maxLength: 20 }) },
  )
  .filter((value) => value !== "__proto__");
// Adding 0 makes 0 of -0, which JSON does not know.
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
const maybe = fc.option(number);
const positive = number.map(Math.abs);
const count = fc.nat(100_000);
const seconds = fc.double({ noNaN: true, min: 0, max: 1e6 }).map((value) => value + 0);

const element = fc.record({
  index: count,
  position: fc.array(count, { maxLength: 3 }),
  ours: maybe,
  reference: maybe,
  difference: fc.option(positive),
});

const tensor: fc.Arbitrary<TensorComparison> = fc.record(
  {
    name: text,
    shape: fc.array(count, { maxLength: 3 }),
    equal: fc.boolean(),
    reason: fc.constantFrom(...reasons),
    detail: text,
    sketched: fc.boolean(),
    zero: fc.boolean(),
    worst: element,
    worstRelative: element,
    relative: maybe,
    rms: maybe,
    scale: maybe,
    mismatched: count,
    elements: count,
    cosine: maybe,
    normRatio: maybe,
    ulp: fc.record({ p50: positive, p99: positive, max: positive }),
    noise: fc.record({ max: positive, rms: positive }),
    multiple: fc.option(positive),
    limit: positive,
    requiredTolerance: fc.option(positive),
  },
  {
    requiredKeys: [
      "name",
      "shape",
      "equal",
      "sketched",
      "zero",
      "rms",
      "scale",
      "elements",
      "normRatio",
      "limit",
      "requiredTolerance",
    ],
  },
);

function stageReport(stage: fc.Arbitrary<Stage>): fc.Arbitrary<StageReport> {
  return fc.record({
    stage,
    equal: fc.boolean(),
    multiple: fc.option(positive),
    worst: text,
    tensors: fc.array(tensor, { maxLength: 2 }),
    compared: count,
  });
}

const anyStage = fc.constantFrom(...stages);
const step: fc.Arbitrary<StepReport> = fc.record({
  step: fc.integer({ min: 1, max: 300 }),
  equal: fc.boolean(),
  loss: fc.record({ ours: maybe, reference: maybe }),
  stages: fc.array(stageReport(anyStage), { maxLength: 4 }),
  seconds: fc.record({ ours: seconds, reference: seconds, comparison: seconds }),
});
const facts = fc.dictionary(text, fc.oneof(text, number), { maxKeys: 4 });

const caseReport: fc.Arbitrary<CaseReport> = fc.record(
  {
    name: text,
    mode: fc.constantFrom("teacher-forced", "free-running"),
    verdict: fc.constantFrom(...verdicts),
    reference: text,
    settings: fc.dictionary(text, fc.oneof(text, number, fc.array(text, { maxLength: 2 })), { maxKeys: 3 }),
    environment: fc.record({ ours: facts, reference: facts }),
    configuration: stageReport(fc.constant("configuration")),
    steps: fc.array(step, { maxLength: 4 }),
    firstDivergence: fc.record(
      {
        step: fc.integer({ min: 1, max: 300 }),
        stage: anyStage,
        tensor: text,
        message: text,
        activations: fc.array(fc.record({ module: text, comparison: tensor }), { maxLength: 5 }),
      },
      { requiredKeys: ["step", "stage", "tensor", "message"] },
    ),
    error: fc.record({ code: text, message: text }),
    seconds,
  },
  { requiredKeys: ["name", "mode", "verdict", "reference", "settings", "environment", "steps", "seconds"] },
);

/** Any report that the schema allows, with hostile texts and extreme numbers. */
export const arbitraryReport: fc.Arbitrary<ParityReport> = fc.record({
  version: fc.constant(parityReportVersion),
  suite: text,
  started: fc
    .date({ noInvalidDate: true, min: new Date(0), max: new Date("2100-01-01") })
    .map((date) => date.toISOString()),
  seconds,
  verdict: fc.constantFrom(...verdicts),
  cases: fc.array(caseReport, { maxLength: 3 }),
});

/** A case as a run would report it, with numbers of the size that such runs have. */
export interface ExampleCase {
  readonly name: string;
  readonly mode?: CaseReport["mode"];
  /** Default: 8. */
  readonly steps?: number;
  /** Where it goes wrong; all that follows in the data goes wrong with it. Default: nowhere. */
  readonly fault?: { readonly step: number; readonly stage: Stage };
  /** Ended with this error after its steps. */
  readonly error?: CaseReport["error"];
}

const layers = [
  "attention.self.query",
  "attention.self.key",
  "attention.self.value",
  "attention.output.dense",
  "intermediate.dense",
  "output.dense",
];
const parameters = [
  "embeddings.word_embeddings.weight",
  ...[0, 1, 2, 3, 4, 5].flatMap((layer) => layers.map((name) => `encoder.layer.${layer}.${name}.weight`)),
];

/** Names and shape of a stage's tensors. */
const tensorsOf: Readonly<Record<Stage, readonly [names: readonly string[], shape: readonly number[]]>> = {
  configuration: [["scale", "weights", "tokenizer", "optimizer.eps"], []],
  tokens: [
    ["batch0.column0", "batch0.column1"],
    [32, 24],
  ],
  embeddings: [
    ["batch0.column0", "batch0.column1"],
    [32, 384],
  ],
  scores: [["batch0.queryToDocument"], [32, 96]],
  labels: [["batch0"], [32]],
  loss: [["batch0"], []],
  "embedding-gradients": [
    ["batch0.column0", "batch0.column1"],
    [32, 384],
  ],
  "replayed-embeddings": [
    ["batch0.column0", "batch0.column1"],
    [32, 384],
  ],
  bank: [
    ["column0", "column1"],
    [64, 384],
  ],
  "parameter-gradients": [parameters, [384, 384]],
  "clip-norm": [["norm"], []],
  moments: [parameters.flatMap((name) => [`first.${name}`, `second.${name}`]), [384, 384]],
  weights: [parameters, [384, 384]],
};
const exactStages: readonly Stage[] = ["configuration", "tokens", "labels", "replayed-embeddings"];

/** A report of cases that look real; the same for the same cases. */
export function exampleReport(cases: readonly ExampleCase[]): ParityReport {
  const random = randomNumbers(7);
  const reports = cases.map((example) => exampleCaseReport(example, random));
  return {
    version: parityReportVersion,
    suite: "suites/both-losses.yaml",
    started: "2026-03-04T05:06:07.890Z",
    seconds: reports.reduce((sum, { seconds }) => sum + seconds, 0),
    verdict: reportVerdict(reports),
    cases: reports,
  };
}

function exampleCaseReport(example: ExampleCase, random: () => number): CaseReport {
  const { name, mode = "teacher-forced", steps: count = 8, fault, error } = example;
  const steps = Array.from({ length: count }, (_, index) => exampleStep(index + 1, mode, fault, random));
  const isWrong = steps.some(({ equal }) => !equal);
  const divergent = steps.find(({ equal }) => !equal)?.stages.find(({ equal }) => !equal);
  return {
    name,
    mode,
    verdict: error !== undefined ? "could-not-compare" : isWrong ? "different" : "equal",
    reference: "CachedMultipleNegativesRankingLoss of sentence-transformers 5.1.2",
    settings: {
      model: "sentence-transformers/all-MiniLM-L6-v2",
      batchSize: 32,
      miniBatchSize: 8,
      bank: { capacity: 64 },
      dropout: true,
    },
    environment: {
      ours: { node: "20.20.2", gradbank: "0.0.0", "onnxruntime-node": "1.23.2", device: "cpu", threads: 2 },
      reference: { python: "3.11.9", torch: "2.8.0", "sentence-transformers": "5.1.2", device: "cpu", threads: 1 },
    },
    configuration: exampleStage("configuration", false, 0, random),
    steps,
    ...(fault === undefined || divergent === undefined
      ? {}
      : {
          firstDivergence: {
            step: fault.step,
            stage: fault.stage,
            tensor: divergent.worst,
            message: `Step ${fault.step}, ${fault.stage}: ${divergent.worst} differs by ${divergent.multiple?.toPrecision(3)} times the noise floor.`,
            ...(fault.stage === "embeddings" ? { activations: exampleWalk(random) } : {}),
          },
        }),
    ...(error === undefined ? {} : { error }),
    seconds: steps.reduce((sum, { seconds }) => sum + seconds.ours + seconds.reference + seconds.comparison, 0.5),
  };
}

function exampleStep(
  step: number,
  mode: CaseReport["mode"],
  fault: ExampleCase["fault"],
  random: () => number,
): StepReport {
  const drift = mode === "free-running" ? 1 + Math.log10(step) / 2 : 1;
  const reports = stages.slice(1).map((stage) => {
    const isAfter =
      fault !== undefined &&
      (step > fault.step || (step === fault.step && stageOrder(stage) >= stageOrder(fault.stage)));
    // A wrong state does not change what is read from the data.
    const isWrong =
      isAfter &&
      !exactStages.includes(stage) &&
      (mode === "free-running" || stageOrder(stage) >= stageOrder(fault.stage));
    return exampleStage(stage, isWrong, drift, random);
  });
  const loss = 2.3 * Math.exp(-step / 60) + 0.4 + 0.2 * random();
  return {
    step,
    equal: reports.every(({ equal }) => equal),
    loss: { ours: loss * (1 + 3e-7 * (random() - 0.5)), reference: loss },
    stages: reports,
    seconds: { ours: 0.21 + 0.02 * random(), reference: 0.37 + 0.05 * random(), comparison: 0.03 },
  };
}

function exampleStage(stage: Stage, isWrong: boolean, drift: number, random: () => number): StageReport {
  const [names, shape] = tensorsOf[stage];
  const wrong = isWrong ? Math.max(Math.round(names.length * 0.4), 1) : 0;
  const tensors = names
    .slice(0, Math.max(wrong, 1))
    .map((name) => exampleTensor(stage, name, shape, isWrong, drift, random));
  const worst = tensors.reduce((a, b) => ((b.multiple ?? 0) > (a.multiple ?? 0) ? b : a));
  return { stage, equal: !isWrong, multiple: worst.multiple ?? 0, worst: worst.name, tensors, compared: names.length };
}

function exampleTensor(
  stage: Stage,
  name: string,
  shape: readonly number[],
  isWrong: boolean,
  drift: number,
  random: () => number,
): TensorComparison {
  const elements = shape.reduce((product, length) => product * length, 1);
  const common = { name, shape: [...shape], equal: !isWrong, sketched: false, zero: false, elements };
  if (exactStages.includes(stage)) {
    return {
      ...common,
      rms: 0,
      scale: 1,
      cosine: 1,
      normRatio: 1,
      multiple: 0,
      mismatched: 0,
      limit: 0,
      requiredTolerance: 0,
    };
  }
  const multiple = isWrong ? 12 * 10 ** (random() * 4) : Math.min((0.2 + random() * random() * 4) * drift, 7.9);
  const [noise, scale] = [2e-9 * (1 + random()), 0.051];
  const [reference, difference] = [scale * (random() - 0.5), multiple * noise];
  const index = Math.floor(random() * elements);
  const position = shape.map(
    (_, axis) => Math.floor(index / shape.slice(axis + 1).reduce((a, b) => a * b, 1)) % shape[axis]!,
  );
  const worst = { index, position, ours: reference + difference, reference, difference };
  return {
    ...common,
    ...(isWrong ? ({ reason: "noise" } as const) : {}),
    worst,
    worstRelative: worst,
    relative: Math.abs(difference / reference),
    rms: difference / 4,
    scale,
    mismatched: isWrong ? Math.ceil(elements * random()) : 0,
    cosine: 1 - (difference / scale) ** 2,
    normRatio: isWrong ? 0.5 : 1 + 1e-8 * random(),
    ulp: { p50: 0.5, p99: 2 + 3 * random(), max: 3 + 10 * random() },
    noise: { max: noise, rms: noise / 4 },
    multiple,
    limit: 8,
    requiredTolerance: difference / scale,
  };
}

function exampleWalk(random: () => number): { module: string; comparison: TensorComparison }[] {
  const modules = [
    "embeddings",
    ...[0, 1, 2].flatMap((layer) => layers.map((name) => `encoder.layer.${layer}.${name}`)),
  ];
  return modules.map((module, index) => ({
    module,
    comparison: exampleTensor("embeddings", module, [312, 384], index === modules.length - 1, 1, random),
  }));
}

/** Numbers from 0 to 1, the same for the same seed (linear congruential, constants of Numerical Recipes). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
