import type { Dataset } from "@gradbank/core";
import { GradbankSide } from "./gradbank-side.ts";
import { withSide } from "./open-sides.ts";
import { type BatchRows, drawBatches } from "./pairs.ts";
import { say } from "./progress.ts";
import { type Spread, spread } from "./statistics.ts";
import { learningRate, maximumLength, seed } from "./workload.ts";

const miniBatchSize = 16;
const largeBatch = 1024;
const smallBatch = 64;
const largeSteps = 2;

/** Highest ratio of the peaks that meets the goal. */
export const batchSizeMemoryGoal = 1.1;

/** Peaks in bytes, one a process. */
export interface BatchSizeMemory {
  readonly miniBatchSize: number;
  /** The model and the texts loaded, nothing trained. */
  readonly loaded: Spread;
  readonly small: { readonly batchSize: number; readonly steps: number; readonly peak: Spread };
  readonly large: { readonly batchSize: number; readonly steps: number; readonly peak: Spread };
  /** Median of the large batch's peaks over that of the small batch's. */
  readonly ratio: number;
  /** The same without what loading the model takes: memory of training alone. */
  readonly trainingRatio: number;
}

/**
 * Compares peak memory of GradCache at two batch sizes. Both train on the same rows, so that both meet the same longest
 * texts: the small batch in as many more steps. Every run has a process of its own, and its peak is the whole process's.
 *
 * @param runs processes for each batch size
 */
export async function measureBatchSizeMemory(options: {
  readonly folder: string;
  readonly train: Dataset;
  readonly threads: number;
  readonly runs: number;
}): Promise<BatchSizeMemory> {
  const rows = (await drawBatches(options.train, largeBatch, largeSteps)).flat();
  const sizes = { small: smallBatch, large: largeBatch };
  const peaks = { loaded: [] as number[], small: [] as number[], large: [] as number[] };
  for (let run = 1; run <= options.runs; run++) {
    for (const [name, batchSize] of Object.entries(sizes) as ["small" | "large", number][]) {
      const { loaded, trained } = await measureRun(cutRows(rows, batchSize), options);
      peaks[name].push(trained);
      if (name === "small") peaks.loaded.push(loaded);
      say(`Memory, batch ${batchSize}, run ${run} of ${options.runs}: peak ${(trained / 1e6).toFixed(0)} MB`);
    }
  }
  const [loaded, small, large] = [spread(peaks.loaded), spread(peaks.small), spread(peaks.large)];
  return {
    miniBatchSize,
    loaded,
    small: { batchSize: smallBatch, steps: rows.length / smallBatch, peak: small },
    large: { batchSize: largeBatch, steps: rows.length / largeBatch, peak: large },
    ratio: large.median / small.median,
    trainingRatio: (large.median - loaded.median) / (small.median - loaded.median),
  };
}

async function measureRun(
  batches: readonly BatchRows[],
  { folder, threads }: { folder: string; threads: number },
): Promise<{ loaded: number; trained: number }> {
  return withSide(
    () => GradbankSide.start(),
    async (side) => {
      await side.prepare(
        {
          folder,
          loss: { lossClass: "CachedMultipleNegativesRankingLoss", miniBatchSize },
          batches,
          threads,
          learningRate,
          warmupSteps: 1,
          maximumLength,
          seed,
        },
        { resetPeak: false },
      );
      const loaded = (await side.memory()).peak;
      await side.round(batches.length);
      return { loaded, trained: (await side.memory()).peak };
    },
  );
}

/** Cuts rows into batches; the size divides their number. */
function cutRows(rows: BatchRows, size: number): BatchRows[] {
  return Array.from({ length: rows.length / size }, (_, batch) => rows.slice(batch * size, (batch + 1) * size));
}
