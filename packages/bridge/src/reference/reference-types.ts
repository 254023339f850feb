import type { FloatTensor, TensorOf } from "../protocol/tensor.ts";

/** Versions and state of the Python process. */
export interface PythonInformation {
  readonly protocol: number;
  /** Version of gradbank-ref. */
  readonly gradbankRef: string;
  readonly python: string;
  readonly torch: string;
  readonly sentenceTransformers: string;
  readonly transformers: string;
  readonly tokenizers: string;
  readonly numpy: string;
  readonly onnxruntime: string;
  /** Threads of torch within an operator. */
  readonly threads: number;
  /** Where torch computes. */
  readonly device: string;
  /** Data types of tensors that it knows. */
  readonly dtypes: readonly string[];
  readonly byteOrder: string;
  /** Bytes of the largest tensor that it accepts. */
  readonly largestFrame: number;
  /** Its process id, on its own machine. */
  readonly pid: number;
}

/** Architectures of which random models can be made. */
export type RandomArchitecture = "bert" | "roberta" | "xlm-roberta" | "mpnet" | "distilbert";

/** Poolings of sentence-transformers that gradbank supports. */
export type ReferencePooling = "mean" | "cls" | "max" | "weightedmean" | "lasttoken";

/** What a small random model is made of. */
export interface RandomModelOptions {
  readonly architecture: RandomArchitecture;
  /** Where to write it. A folder that holds this very model already is left as it is. */
  readonly folder: string;
  /** Texts to train the tokenizer on. */
  readonly texts: readonly string[];
  /** Default: 0. */
  readonly seed?: number;
  /** Default: 32. */
  readonly hiddenSize?: number;
  /** Default: 2. */
  readonly layers?: number;
  /** Default: 4. */
  readonly heads?: number;
  /** Default: 64. */
  readonly intermediateSize?: number;
  /** Upper bound; few texts give fewer tokens. Default: 400. */
  readonly vocabSize?: number;
  /** Rows of the position table; RoBERTa, XLM-RoBERTa and MPNet use two fewer positions. Default: 64. */
  readonly maxPositionEmbeddings?: number;
  /** Default: "mean". */
  readonly pooling?: ReferencePooling;
  /** Append a Normalize module. Default: false. */
  readonly normalize?: boolean;
  /** Rate of every dropout. Default: 0.1. */
  readonly dropout?: number;
  /** Write the transformers files only (config.json, weights, tokenizer). Default: false. */
  readonly bare?: boolean;
}

/** A model that Python holds. */
export interface ReferenceModel {
  /** What the other methods call the model by. */
  readonly handle: string;
  /** transformers' model_type. */
  readonly architecture: string;
  /** Dimension of the embeddings. */
  readonly dimension: number;
  readonly maxSeqLength: number;
  /** Shape of every parameter, by its name in model.safetensors. */
  readonly parameters: Readonly<Record<string, readonly number[]>>;
}

/** How to load a model. */
export interface LoadModelOptions {
  /** Default: "float32". */
  readonly dtype?: "float32" | "float64";
  /** transformers' attn_implementation. Given dropout masks need "eager". Default: "eager". */
  readonly attention?: "eager" | "sdpa";
}

/** One place where a model drops out, in the order of computation. */
export interface DropoutSite {
  /** `embeddings`, `layer0.attention`, `layer0.attention_output`, `layer0.output`, ... */
  readonly name: string;
  /** "attention": masks [rows, heads, length, length]; "hidden": [rows, length, hidden size]. */
  readonly kind: "attention" | "hidden";
  readonly rate: number;
}

/** Token ids of texts, special tokens included, one row a text, without padding. */
export type TokenRows = readonly ArrayLike<number | bigint>[];

/** A loss of sentence-transformers, or that of its pull request 3612, and its keyword arguments in camelCase. */
export interface ReferenceLoss {
  readonly class: "MultipleNegativesRankingLoss" | "CachedMultipleNegativesRankingLoss" | "PullRequest3612";
  readonly options?: ReferenceLossOptions;
}

/** Keyword arguments of the losses; those left out have sentence-transformers' defaults. */
export interface ReferenceLossOptions {
  readonly scale?: number;
  readonly similarityFct?: "cos_sim" | "dot_score";
  readonly directions?: readonly ("query_to_doc" | "query_to_query" | "doc_to_query" | "doc_to_doc")[];
  readonly partitionMode?: "joint" | "per_direction";
  readonly hardnessMode?: "in_batch_negatives" | "hard_negatives" | "all_negatives" | null;
  readonly hardnessStrength?: number;
  /** Cached loss only. */
  readonly miniBatchSize?: number;
  /** Cached loss only. */
  readonly miniBatchNumTokens?: number | null;
  /** Pull request 3612 only: cache batches. Default: false. */
  readonly useContAccum?: boolean;
  /** Pull request 3612 only: batches kept; at least 1 with `useContAccum`. */
  readonly cacheSize?: number;
  /** Pull request 3612 only: keep them over optimizer steps. Default: false. */
  readonly prevCache?: boolean;
}

/** Options of the written-out loss with a bank; those left out have sentence-transformers' defaults. */
export interface ContAccumOptions
  extends Omit<
    ReferenceLossOptions,
    "miniBatchSize" | "miniBatchNumTokens" | "useContAccum" | "cacheSize" | "prevCache"
  > {
  /** Cached queries are rows of the loss. Default: true. */
  readonly cacheQueries?: boolean;
  /** A row weighs 1 / (rows of the loss) with "all", 1 / (rows of the batch) with "current". Default: "all". */
  readonly rowWeighting?: "all" | "current";
}

/** Cached rows, as a loss sees them in one step. */
export interface ReferenceBank {
  /** Embeddings of each column, [rows, dimension]: normalised where the similarity is cosine. */
  readonly columns: readonly FloatTensor[];
  /**
   * Whole numbers that name the texts of each column, equal ones for equal texts: duplicates of a row's own texts are
   * then taken out where the row or the candidate is cached. Default: none is.
   */
  readonly texts?: {
    readonly batch: readonly ArrayLike<number>[];
    readonly bank: readonly ArrayLike<number>[];
  };
}

/** One column of a loss step. */
export interface LossStepColumn {
  readonly tokens: TokenRows;
  /** A mask (1 = keep) for every dropout site, for all rows, padded to the column's longest text. */
  readonly dropout?: Readonly<Record<string, TensorOf<"uint8">>>;
}

/** What to compute in a loss step. */
export interface LossStepOptions {
  readonly model: ReferenceModel | string;
  readonly loss: ReferenceLoss;
  /** Anchor, positive, negatives. */
  readonly columns: readonly LossStepColumn[];
  /** Factor given to backward: 1 / gradient accumulation steps. Reaches only the parameter gradients. Default: 1. */
  readonly scale?: number;
  /** Tensors to send back. Default: all. */
  readonly outputs?: readonly ("embeddings" | "embedding_gradients" | "parameter_gradients")[];
}

/** Stages of a loss step. What `outputs` left out is empty. */
export interface LossStepResult {
  readonly loss: number;
  /** Per column, [rows, dimension]. */
  readonly embeddings: readonly FloatTensor[];
  /** dL/dE of the unscaled loss, per column. */
  readonly embeddingGradients: readonly FloatTensor[];
  /** By the parameter's name; parameters that the loss does not reach are absent. */
  readonly parameterGradients: Readonly<Record<string, FloatTensor>>;
}

/** Arguments of the Hugging Face Trainer in camelCase; others are passed on in Python's spelling. */
export interface ReferenceTrainingArguments {
  readonly learningRate?: number;
  readonly warmupRatio?: number;
  readonly warmupSteps?: number;
  readonly maxSteps?: number;
  readonly numTrainEpochs?: number;
  readonly gradientAccumulationSteps?: number;
  readonly weightDecay?: number;
  readonly maxGradNorm?: number;
  readonly seed?: number;
  readonly [name: string]: unknown;
}

/** A run of the real trainer. */
export interface ReferenceTrainOptions {
  /** Model folder; stays as it is. */
  readonly folder: string;
  readonly loss: ReferenceLoss;
  /** Names of the text columns, anchor first. */
  readonly columns: readonly string[];
  /** Per batch its rows, each one text a column. */
  readonly batches: readonly (readonly (readonly string[])[])[];
  readonly arguments: ReferenceTrainingArguments;
  /** false sets every dropout to 0. Default: false. */
  readonly dropout?: boolean;
  /** Tokens at which texts are cut. Default: the model's. */
  readonly maxLength?: number;
  /** Default: "eager". */
  readonly attention?: "eager" | "sdpa";
  /** Send the weights after every optimizer step: for small models. Default: false. */
  readonly everyStep?: boolean;
  /** Milliseconds. Default: an hour. */
  readonly timeout?: number;
}

/** What a run of the real trainer left. */
export interface ReferenceTrainResult {
  readonly steps: number;
  /** The trainer's own log: loss, grad_norm, learning_rate, epoch and step of every step, and a last summary. */
  readonly logHistory: readonly Readonly<Record<string, number>>[];
  /** Loss of every batch, neither rounded nor averaged. */
  readonly batchLosses: readonly number[];
  /** Final weights by the parameter's name. */
  readonly parameters: Readonly<Record<string, FloatTensor>>;
  /** The same after every optimizer step; empty without `everyStep`. */
  readonly stepParameters: readonly Readonly<Record<string, FloatTensor>>[];
}

/** Data of an information retrieval evaluation. */
export interface RetrievalData {
  /** Text by query id. */
  readonly queries: Readonly<Record<string, string>>;
  /** Text by document id. */
  readonly corpus: Readonly<Record<string, string>>;
  /** Ids of the relevant documents by query id. */
  readonly relevantDocs: Readonly<Record<string, readonly string[]>>;
  /** Prefix of the metrics' keys. Default: none. */
  readonly name?: string;
  /** Further keyword arguments of the evaluator in camelCase (batchSize, corpusChunkSize, mrrAtK, ...). */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Milliseconds. Default: an hour. */
  readonly timeout?: number;
}

/** What InformationRetrievalEvaluator computed and wrote. */
export interface RetrievalResult {
  readonly metrics: Readonly<Record<string, number>>;
  /** Text of the CSV file. */
  readonly csv: string;
  /** Name of the CSV file. */
  readonly csvFile: string;
}

/** An evaluator of sentence-transformers and its keyword arguments in camelCase. */
export type ReferenceEvaluator =
  | {
      readonly class: "EmbeddingSimilarityEvaluator" | "TripletEvaluator";
      readonly options: Readonly<Record<string, unknown>>;
    }
  | {
      readonly class: "SequentialEvaluator";
      readonly evaluators: readonly ReferenceEvaluator[];
      /** Index of the score that is the main one. Default: -1, the last. */
      readonly mainScore?: number;
    };

/** An evaluation of a model, or of given embeddings, by a real evaluator. */
export type ReferenceEvaluationOptions = {
  readonly evaluator: ReferenceEvaluator;
  /** How far training is, for each evaluation; all write to the same files. Default: one evaluation without. */
  readonly progress?: readonly { readonly epoch?: number; readonly steps?: number }[];
  /** Milliseconds. Default: an hour. */
  readonly timeout?: number;
} & (
  | {
      readonly model: ReferenceModel | string;
      /** Tokens at which texts are cut. Default: the model's. */
      readonly maxLength?: number;
    }
  | {
      /** Different texts, one for each row of `embeddings`. */
      readonly texts: readonly string[];
      /** [texts, dimension] */
      readonly embeddings: FloatTensor;
      /** How they are meant to be compared. Default: "cosine". */
      readonly similarityFnName?: string;
    }
);

/** What an evaluator computed and wrote. */
export interface ReferenceEvaluation {
  /** Metrics by name, one object an evaluation. */
  readonly metrics: readonly Readonly<Record<string, number>>[];
  readonly primaryMetric: string;
  /** Text of every CSV file by its name, after all evaluations. */
  readonly files: Readonly<Record<string, string>>;
}

/** A timed training. */
export interface BenchmarkOptions {
  readonly folder: string;
  readonly loss: ReferenceLoss;
  /** Per batch its rows, each one text a column. Steps go around them. */
  readonly batches: readonly (readonly (readonly string[])[])[];
  readonly learningRate: number;
  /** Threads of torch. Default: as they are. */
  readonly threads?: number;
  /** false sets every dropout to 0. Default: true. */
  readonly dropout?: boolean;
  /** Tokens at which texts are cut. Default: the model's. */
  readonly maxLength?: number;
  /** Short for that option of the cached loss. */
  readonly miniBatchSize?: number;
  /** Default: 0. */
  readonly warmupSteps?: number;
  /** Steps until the linear schedule reaches 0. Default: a constant learning rate. */
  readonly totalSteps?: number;
  /** Default: 1. */
  readonly maxGradNorm?: number;
  /** Default: "sdpa", what sentence-transformers picks by itself. */
  readonly attention?: "eager" | "sdpa";
  /** Seed of dropout. Default: 42. */
  readonly seed?: number;
}

/** Seconds and loss of every step of a round. */
export interface BenchmarkRound {
  readonly seconds: readonly number[];
  readonly losses: readonly number[];
}
