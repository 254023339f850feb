import type { EmbeddingBankOptions, TrainingArgumentsInput } from "@gradbank/core";

/** A named comparison: everything about it is data. */
export interface Experiment {
  /** How the command line and the files call it. */
  readonly name: string;
  readonly title: string;
  /** Where the pairs come from; undefined for a benchmark that makes its own. */
  readonly data?: ExperimentData;
  /** Hub id of the model; default: all-MiniLM-L6-v2 from the Python environment. */
  readonly model?: string;
  /** Take a random BERT of one layer and all-MiniLM-L6-v2's dimension instead: for what does not depend on the encoder. */
  readonly smallModel?: boolean;
  /** Most tokens of a text, special tokens included. */
  readonly maximumLength: number;
  /** Seeds of the order of rows and of dropout. Each arm runs once with each. */
  readonly seeds: readonly number[];
  readonly arms: readonly Arm[];
  readonly table: readonly TableColumn[];
  readonly figures: readonly Figure[];
  /** The experiment at a size that shows within minutes whether everything works. Its numbers mean nothing. */
  readonly quick: Partial<Pick<Experiment, "data" | "seeds" | "arms">>;
}

/** Pairs to train on, and pairs to ask for. */
export interface ExperimentData {
  /** `wordnet`, or `file`: given on the command line by `--data`. */
  readonly source: "wordnet" | "file";
  /** What the file must hold, for the message when it is not given. */
  readonly expected?: string;
  /** Rows that are read, from the first; default: all. */
  readonly firstRows?: number;
  /** Rows kept for the evaluation; their documents are the corpus. */
  readonly documents: number;
  /** Queries that are asked, the first of those rows. */
  readonly queries: number;
  /** Seed of the split in train and test rows. */
  readonly splitSeed: number;
}

/** One system of a comparison. */
export type Arm = TrainingArm | UntrainedArm | UpdateTimesArm | PullRequestArm | BankCostArm | SteadyMemoryArm;

interface ArmName {
  /** Its key: in files, in `--arms`. Lower case, words joined by hyphens. */
  readonly name: string;
  /** Its name in tables and legends. */
  readonly title: string;
}

/** A run of gradbank's Trainer. */
export interface TrainingArm extends ArmName {
  readonly kind: "training";
  readonly loss: ArmLoss;
  /** What differs from the Trainer's defaults. `seed` and `outputDir` come from the run. */
  readonly arguments: Omit<TrainingArgumentsInput, "seed" | "outputDir">;
  /** Put rows of like length into the same batch of an update. Needs `maxSteps`. Default false. */
  readonly groupByLength?: boolean;
  /** Train on the first so many rows of the training part only. Default: all. */
  readonly trainRows?: number;
}

/** A loss by its class and options. */
export interface ArmLoss {
  readonly lossClass: "MultipleNegativesRankingLoss" | "CachedMultipleNegativesRankingLoss";
  /** Rows encoded at once; CachedMultipleNegativesRankingLoss only. */
  readonly miniBatchSize?: number;
  readonly bank?: EmbeddingBankOptions;
}

/** The model as it is: where all learning curves begin. Runs once, with the first seed. */
export interface UntrainedArm extends ArmName {
  readonly kind: "untrained";
}

/**
 * Seconds of an update of several training arms, in turns within one process. Runs once; its metrics are `<arm>.seconds`
 * and the like.
 */
export interface UpdateTimesArm extends ArmName {
  readonly kind: "update-times";
  /** The arms that are timed; default: the experiment's training arms. */
  readonly arms?: readonly TrainingArm[];
  readonly rowsOfUpdate: number;
  /** Timed updates of each arm, after one that is not timed. */
  readonly rounds: number;
  /** Arm by whose seconds the others' are divided, round by round. */
  readonly relativeTo: string;
}

/** Training steps with the pull request's own loss in Python, for time and memory of each step. Runs once. */
export interface PullRequestArm extends ArmName {
  readonly kind: "pull-request";
  readonly batchSize: number;
  readonly miniBatchSize: number;
  /** `cache_size` of the pull request: batches. */
  readonly cacheSize: number;
  readonly learningRate: number;
  readonly steps: number;
  /** No step begins after so many seconds of stepping. */
  readonly secondsLimit: number;
}

/** Step time with banks of several sizes, all full, in turns. Runs once. */
export interface BankCostArm extends ArmName {
  readonly kind: "bank-cost";
  readonly side: "gradbank" | "pull-request";
  readonly loss: ArmLoss;
  readonly batchSize: number;
  /** Rows of each bank; 0 is no bank. */
  readonly bankRows: readonly number[];
  /** Timed steps with each bank, after one that is not timed. */
  readonly rounds: number;
}

/** Many steps of a small model, whose resident memory is read at intervals. Runs once. */
export interface SteadyMemoryArm extends ArmName {
  readonly kind: "steady-memory";
  readonly loss: ArmLoss;
  readonly batchSize: number;
  readonly steps: number;
  /** Steps between two readings. */
  readonly every: number;
}

/** A column of the table: a number of each run, as mean and spread over the seeds. */
export interface TableColumn {
  readonly title: string;
  /** Name of a metric in the runs' results. */
  readonly metric: string;
  /** Take `<arm>.<metric>` of this arm's run instead. */
  readonly from?: string;
  /** Digits after the point. */
  readonly digits: number;
  /** Divide by this arm's value with the same seed. */
  readonly relativeTo?: string;
  /** Multiply by this, for another unit. Default 1. */
  readonly factor?: number;
}

/** A figure of an experiment. */
export type Figure = LearningCurves | StepCurves;

interface FigureName {
  /** Name of the file, with .svg. */
  readonly file: string;
  readonly title: string;
  /** Arms that are drawn; default: all that have the numbers. */
  readonly arms?: readonly string[];
}

/** NDCG@10, mean over the seeds, over training time without evaluations, over updates, or over pairs. */
export interface LearningCurves extends FigureName {
  readonly kind: "learning-curves";
  readonly over: "seconds" | "pairs";
  /** For seconds: an update takes `<arm>.seconds` of this arm's run, timed in turns, whatever it took in the run itself. */
  readonly secondsFrom?: string;
}

/** A number of every batch, over the batches; of the first seed. */
export interface StepCurves extends FigureName {
  readonly kind: "step-curves";
  readonly value: "seconds" | "resident";
}

/** Arms that have no seed run once, with the experiment's first. */
export function seedsOf(experiment: Experiment, arm: Arm): readonly number[] {
  return arm.kind === "training" ? experiment.seeds : experiment.seeds.slice(0, 1);
}
