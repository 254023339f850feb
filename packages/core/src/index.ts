export {
  type BankRows,
  EmbeddingBank,
  type EmbeddingBankOptions,
  type EmbeddingBankState,
} from "./bank/embedding-bank.ts";
export { sequenceKey, sequenceKeys } from "./bank/sequence-key.ts";
export { configurationJsonSchema } from "./configuration/configuration-json-schema.ts";
export {
  type ConfigurationPath,
  isMapping,
  parsePath,
  showPath,
  valueAt,
  withValueAt,
} from "./configuration/configuration-path.ts";
export { configurationProblems } from "./configuration/configuration-problems.ts";
export {
  ConfigurationError,
  type ConfigurationErrorCode,
  type ConfigurationPlace,
  type ConfigurationProblem,
} from "./configuration/errors.ts";
export { type ConfigurationOverride, overridePlace, parseOverrides } from "./configuration/override.ts";
export {
  type Configuration,
  type ReadConfigurationOptions,
  readConfiguration,
} from "./configuration/read-configuration.ts";
export { type Dataset, InMemoryDataset, renameColumns, selectColumns, selectRows } from "./data/dataset.ts";
export { type DatasetFormat, type LoadDatasetOptions, loadDataset } from "./data/load-dataset.ts";
export { trainTestSplit } from "./data/train-test-split.ts";
export { type LoadWordNetOptions, loadWordNet } from "./data/word-net.ts";
export { cosineSimilarity, dotScore, type Embeddings, normalizeEmbeddings, truncateEmbeddings } from "./embeddings.ts";
export { type Architecture, type BlockNames, readArchitecture, supportedModelTypes } from "./encoder/architecture.ts";
export type { DropoutKey, DropoutSite } from "./encoder/dropout.ts";
export type { ColumnRows, EncoderPrograms, ModuleOutput } from "./encoder/encoder-programs.ts";
export { type Parameter, Parameters } from "./encoder/parameters.ts";
export { type EncodeOptions, type LoadOptions, type SaveOptions, SentenceEncoder } from "./encoder/sentence-encoder.ts";
export { planMiniBatches, type TokenSequence } from "./encoder/token-batch.ts";
export {
  DataError,
  GradbankError,
  ModelFolderError,
  OptionError,
  RuntimeError,
  TrainingError,
} from "./errors.ts";
export { pearsonCorrelation, spearmanCorrelation } from "./evaluation/correlation.ts";
export {
  EmbeddingSimilarityEvaluator,
  type EmbeddingSimilarityEvaluatorOptions,
} from "./evaluation/embedding-similarity-evaluator.ts";
export type { EvaluationContext, Evaluator, TextEncoder } from "./evaluation/evaluator.ts";
export {
  InformationRetrievalEvaluator,
  type InformationRetrievalEvaluatorOptions,
} from "./evaluation/information-retrieval-evaluator.ts";
export { SequentialEvaluator, type SequentialEvaluatorOptions } from "./evaluation/sequential-evaluator.ts";
export { TripletEvaluator, type TripletEvaluatorOptions } from "./evaluation/triplet-evaluator.ts";
export {
  CachedMultipleNegativesRankingLoss,
  type CachedRankingLossOptions,
} from "./loss/cached-multiple-negatives-ranking-loss.ts";
export type { Batch, ForwardBackwardOptions, Loss, LossDiagnostics, LossObserver } from "./loss/loss.ts";
export { MultipleNegativesRankingLoss } from "./loss/multiple-negatives-ranking-loss.ts";
export {
  type HardnessMode,
  type PartitionMode,
  type RankingDirection,
  type RankingLossOptions,
  type ResolvedRankingOptions,
  rankingDirections,
  type SimilarityFunction,
} from "./loss/ranking-options.ts";
export type { RankingScores, RankingScoresPart } from "./loss/ranking-scores.ts";
export { type ResolveModelFolderOptions, resolveModelFolder } from "./model-folder/hub.ts";
export type { SimilarityFunctionName } from "./model-folder/read-model-folder.ts";
export { readSafetensors, type WritableTensor, writeSafetensors } from "./model-folder/safetensors.ts";
export { writeWholeFolder } from "./model-folder/whole-folder.ts";
export { AdamW, type AdamWOptions, type AdamWState, decays } from "./optimizer/adamw.ts";
export { clipFactor, gradientNorm } from "./optimizer/gradient-norm.ts";
export { createOnnxRuntime, type OnnxRuntimeOptions } from "./runtime/onnx-runtime.ts";
export type { Device, Program, Runtime } from "./runtime/runtime.ts";
export type { Tensor } from "./runtime/tensor.ts";
export type { BatchSampler } from "./sampler/batch-sampler.ts";
export { GivenBatchSampler } from "./sampler/given-batch-sampler.ts";
export { NoDuplicatesBatchSampler } from "./sampler/no-duplicates-batch-sampler.ts";
export { RandomBatchSampler } from "./sampler/random-batch-sampler.ts";
export { SequentialBatchSampler } from "./sampler/sequential-batch-sampler.ts";
export { Tokenizer } from "./tokenizer/tokenizer.ts";
export {
  parseTrainingArguments,
  type TrainingArguments,
  type TrainingArgumentsInput,
  trainingArgumentsSchema,
} from "./trainer/arguments.ts";
export type { BestEvaluation } from "./trainer/best-model.ts";
export type { TrainerCallback, TrainerControl, TrainerProgress } from "./trainer/callbacks.ts";
export { type Checkpoint, readCheckpoint } from "./trainer/checkpoint.ts";
export { type CheckpointFolder, listCheckpoints } from "./trainer/checkpoint-folders.ts";
export { createAdamW } from "./trainer/create-adamw.ts";
export { EarlyStoppingCallback, type EarlyStoppingOptions } from "./trainer/early-stopping-callback.ts";
export { EventLogReader, EventLogWriter, readEventLog } from "./trainer/event-log.ts";
export { type EventOfType, eventJsonSchema, type TrainingEvent, trainingEventSchema } from "./trainer/events.ts";
export {
  createSchedule,
  type LearningRateSchedule,
  type LinearScheduleOptions,
  linearSchedule,
  type ScheduleOptions,
  type SchedulerKeywords,
  type SchedulerType,
} from "./trainer/schedule.ts";
export { countSteps, type StepCounts } from "./trainer/step-counts.ts";
export { withoutSupersededEvents } from "./trainer/superseded-events.ts";
export { Trainer, type TrainerOptions, type TrainOptions, type TrainResult } from "./trainer/trainer.ts";
export {
  type AppliedUpdate,
  type UpdateBatchOptions,
  WeightUpdate,
  type WeightUpdateOptions,
} from "./trainer/weight-update.ts";
