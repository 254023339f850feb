import { fittingReference } from "../../../packages/bridge/src/suite/case-loss.ts";
import type {
  CaseLoss,
  CaseModel,
  ResolvedCase,
  TextOptions,
} from "../../../packages/bridge/src/suite/resolved-case.ts";

type RandomModel = Extract<CaseModel, { kind: "random" }>;

/** What differs from the gallery's case. */
export interface CaseOverrides
  extends Partial<
    Pick<
      ResolvedCase,
      | "columns"
      | "batchSize"
      | "gradientAccumulationSteps"
      | "steps"
      | "seed"
      | "dropout"
      | "maxSequenceLength"
      | "mode"
      | "lastBatch"
    >
  > {
  readonly model?: Partial<RandomModel> | "all-MiniLM-L6-v2";
  readonly texts?: Partial<TextOptions>;
  readonly loss?: Partial<CaseLoss>;
  readonly arguments?: Partial<ResolvedCase["arguments"]>;
}

const smallModel: RandomModel = {
  kind: "random",
  architecture: "bert",
  seed: 0,
  hiddenSize: 16,
  layers: 2,
  heads: 2,
  intermediateSize: 32,
  vocabSize: 300,
  maxPositionEmbeddings: 64,
  pooling: "mean",
  normalize: false,
  dropout: 0.1,
};

/** A small case: three teacher-forced steps of pairs, with GradCache in mini-batches of 3, 3 and 2 rows. */
export function galleryCase({
  model,
  texts,
  loss: lossOptions,
  arguments: update,
  ...rest
}: CaseOverrides = {}): ResolvedCase {
  const loss: CaseLoss = {
    class: "CachedMultipleNegativesRankingLoss",
    scale: 20,
    similarityFunction: "cos_sim",
    directions: ["query_to_doc"],
    partitionMode: "joint",
    hardnessMode: null,
    hardnessStrength: 0,
    miniBatchSize: 3,
    miniBatchNumTokens: null,
    bank: null,
    ...lossOptions,
  };
  return {
    name: "gallery",
    description: "",
    model:
      model === "all-MiniLM-L6-v2" ? { kind: "pretrained", name: "all-MiniLM-L6-v2" } : { ...smallModel, ...model },
    maxSequenceLength: null,
    data: { kind: "texts", words: 60, rows: null, seed: 1, lengths: [2, 9], repeats: 0.1, ...texts },
    columns: 2,
    batchSize: 8,
    lastBatch: null,
    gradientAccumulationSteps: 1,
    steps: 3,
    seed: 3,
    loss,
    reference: fittingReference(loss),
    dropout: false,
    mode: "teacher-forced",
    noise: true,
    parametersEvery: 1,
    limits: {},
    wholeTensors: "small",
    ...rest,
    arguments: {
      learningRate: 1e-3,
      warmupSteps: 0,
      weightDecay: 0.01,
      adamBeta1: 0.9,
      adamBeta2: 0.999,
      adamEpsilon: 1e-8,
      maxGradNorm: 1,
      ...update,
    },
  };
}
