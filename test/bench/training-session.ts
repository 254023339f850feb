import type { BenchmarkRound } from "@gradbank/bridge";
import {
  CachedMultipleNegativesRankingLoss,
  InMemoryDataset,
  MultipleNegativesRankingLoss,
  SentenceEncoder,
  SequentialBatchSampler,
  Trainer,
} from "@gradbank/core";
import type { TrainingPlan } from "./side.ts";

/**
 * A run of the real Trainer that can be stopped and continued between two steps: only then can two programs take turns.
 */
export class TrainingSession {
  readonly encoder: SentenceEncoder;
  readonly #finished: Promise<unknown>;
  #seconds: number[] = [];
  #losses: number[] = [];
  #stepsLeft = 0;
  #continue: (() => void) | undefined;
  #roundDone: (() => void) | undefined;
  #began = 0;

  private constructor(encoder: SentenceEncoder, plan: TrainingPlan, outputDir: string) {
    this.encoder = encoder;
    const batchSize = plan.batches[0]!.length;
    const rows = plan.batches.flat();
    const trainer = new Trainer({
      encoder,
      loss:
        plan.loss.lossClass === "MultipleNegativesRankingLoss"
          ? new MultipleNegativesRankingLoss()
          : new CachedMultipleNegativesRankingLoss(
              plan.loss.miniBatchSize === undefined ? {} : { miniBatchSize: plan.loss.miniBatchSize },
            ),
      trainDataset: InMemoryDataset.fromRows(
        rows[0]!.map((_, column) => `column ${column}`),
        rows,
      ),
      sampler: new SequentialBatchSampler(rows.length, { batchSize }),
      arguments: {
        outputDir,
        saveStrategy: "no",
        perDeviceTrainBatchSize: batchSize,
        maxSteps: plan.batches.length,
        learningRate: plan.learningRate,
        warmupSteps: plan.warmupSteps,
        seed: plan.seed,
      },
      callbacks: [
        {
          onTrainBegin: () => this.#pause(),
          onStepEnd: async ({ step, maxSteps }, _, { loss }) => {
            const now = performance.now();
            this.#seconds.push((now - this.#began) / 1000);
            this.#losses.push(loss);
            this.#began = now;
            if (--this.#stepsLeft > 0) return;
            this.#roundDone?.();
            if (step < maxSteps) await this.#pause();
          },
        },
      ],
    });
    this.#finished = trainer.train();
    // A failure is reported by the round that it ends.
    this.#finished.catch(() => {});
  }

  /**
   * Loads the model and stops before the first step.
   *
   * @param outputDir folder for the run's event log
   */
  static async create(plan: TrainingPlan, outputDir: string): Promise<TrainingSession> {
    const { folder, threads, maximumLength } = plan;
    const encoder = await SentenceEncoder.load(folder, { threads, maxSequenceLength: maximumLength });
    return new TrainingSession(encoder, plan, outputDir);
  }

  /** Runs the next steps. They must not exceed what the plan has left. */
  async round(steps: number): Promise<BenchmarkRound> {
    this.#seconds = [];
    this.#losses = [];
    this.#stepsLeft = steps;
    const done = new Promise<void>((resolve) => {
      this.#roundDone = resolve;
    });
    this.#began = performance.now();
    this.#continue?.();
    await Promise.race([done, this.#finished]);
    if (this.#seconds.length !== steps)
      throw new RangeError(`The run ended after ${this.#seconds.length} steps of a round of ${steps}`);
    return { seconds: this.#seconds, losses: this.#losses };
  }

  /** Lasts until the next round. */
  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#continue = () => {
        this.#continue = undefined;
        resolve();
      };
    });
  }
}
