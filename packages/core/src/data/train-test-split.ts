import { OptionError } from "../errors.ts";
import { Pcg64 } from "../random/pcg64.ts";
import { type Dataset, selectRows } from "./dataset.ts";

export interface TrainTestSplitOptions {
  /** Rows of the test part: a whole number of rows, or a fraction between 0 and 1 (rounded up to whole rows). */
  testSize: number;
  /** Seed of the shuffle. Default 42. */
  seed?: number;
}

/**
 * Shuffles a data set and splits it in two, in the order of Hugging Face datasets' `train_test_split(test_size, seed)`:
 * with `permutation = numpy.random.default_rng(seed).permutation(length)`, the test part is the first `testSize` rows of
 * it and the train part the rest.
 *
 * Throws OptionError when one of the parts would be empty.
 */
export function trainTestSplit(dataset: Dataset, options: TrainTestSplitOptions): { train: Dataset; test: Dataset } {
  const { testSize, seed = 42 } = options;
  const testRows = testSize > 0 && testSize < 1 ? Math.ceil(testSize * dataset.length) : testSize;
  if (!Number.isInteger(testRows) || testRows < 1 || testRows >= dataset.length) {
    throw new OptionError(
      "invalid-option",
      `trainTestSplit: testSize is ${testSize}, and the data set has ${dataset.length} rows; expected a fraction between 0 and 1 or a whole number of rows, with at least one row left for each part.`,
      { option: "testSize", found: testSize, length: dataset.length },
    );
  }
  const permutation = new Pcg64(seed).permutation(dataset.length);
  return {
    train: selectRows(dataset, permutation.subarray(testRows)),
    test: selectRows(dataset, permutation.subarray(0, testRows)),
  };
}
