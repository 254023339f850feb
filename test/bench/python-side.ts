import { type BenchmarkRound, type PythonInformation, Reference, type RetrievalData } from "@gradbank/bridge";
import type { ProcessMemory } from "./process-memory.ts";
import type { Side, TrainingPlan } from "./side.ts";

/** Python sentence-transformers with its own defaults: scaled dot product attention, fused AdamW. */
export class PythonSide implements Side {
  readonly name = "Python";
  readonly #reference: Reference;

  private constructor(reference: Reference) {
    this.#reference = reference;
  }

  /** @throws BridgeError when Python or a package is missing */
  static async start(): Promise<PythonSide> {
    return new PythonSide(await Reference.start());
  }

  get processId(): number {
    return this.#reference.information.pid;
  }

  get information(): PythonInformation {
    return this.#reference.information;
  }

  /** Folder of all-MiniLM-L6-v2. */
  modelFolder(): Promise<string> {
    return this.#reference.minilmFolder();
  }

  async prepare(plan: TrainingPlan): Promise<{ peakReset: boolean }> {
    const { loss, maximumLength, batches, ...shared } = plan;
    return await this.#reference.benchmarkPrepare({
      ...shared,
      batches,
      loss: { class: loss.lossClass },
      ...(loss.miniBatchSize === undefined ? {} : { miniBatchSize: loss.miniBatchSize }),
      maxLength: maximumLength,
      totalSteps: batches.length,
    });
  }

  round(steps: number): Promise<BenchmarkRound> {
    return this.#reference.benchmarkRound(steps);
  }

  memory(): Promise<ProcessMemory> {
    return this.#reference.benchmarkMemory();
  }

  async evaluate(data: RetrievalData): Promise<number> {
    return (await this.#reference.benchmarkEvaluate(data)).ndcgAt10;
  }

  close(): Promise<void> {
    return this.#reference.close();
  }
}
