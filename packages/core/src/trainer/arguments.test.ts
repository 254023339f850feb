import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OptionError } from "../errors.ts";
import { closestName, parseTrainingArguments, trainingArgumentsSchema } from "./arguments.ts";

function errorOf(given: unknown): OptionError {
  try {
    parseTrainingArguments(given);
  } catch (error) {
    expect(error).toBeInstanceOf(OptionError);
    return error as OptionError;
  }
  throw new Error(`accepted ${JSON.stringify(given)}`);
}

test("defaults are those of transformers 5.23 and sentence-transformers 6.2", () => {
  expect(parseTrainingArguments({})).toEqual({
    outputDir: "trainer_output",
    perDeviceTrainBatchSize: 8,
    perDeviceEvalBatchSize: 8,
    batchSampler: "batch_sampler",
    dataloaderDropLast: false,
    gradientAccumulationSteps: 1,
    numTrainEpochs: 3,
    maxSteps: -1,
    learningRate: 5e-5,
    lrSchedulerType: "linear",
    warmupRatio: 0,
    warmupSteps: 0,
    weightDecay: 0,
    adamBeta1: 0.9,
    adamBeta2: 0.999,
    adamEpsilon: 1e-8,
    maxGradNorm: 1,
    seed: 42,
    loggingStrategy: "steps",
    loggingSteps: 500,
    loggingFirstStep: false,
    evalStrategy: "no",
    evalDelay: 0,
    evalOnStart: false,
    saveStrategy: "steps",
    saveSteps: 500,
    loadBestModelAtEnd: false,
  });
});

describe("each option", () => {
  const withoutOwnDefault: Record<string, string> = {
    evalSteps: "the same as loggingSteps",
    bankDriftSteps: "the same as loggingSteps",
    saveTotalLimit: "all",
    metricForBestModel: "loss with loadBestModelAtEnd, else none",
    greaterIsBetter: "whether its name does not end in loss",
    lrSchedulerKwargs: "none",
  };

  test.each(Object.entries(trainingArgumentsSchema.shape))(
    "%s says what it is and names its true default",
    (name, option) => {
      const description = option.description ?? "";
      const stated = description.match(/Default: (.+)\.$/)?.[1];
      expect(stated, `${name}: ${description}`).toBeDefined();
      const actual = parseTrainingArguments({})[name as "seed"];
      if (name in withoutOwnDefault) expect(stated).toBe(withoutOwnDefault[name]);
      else if (typeof actual === "number") expect(Number(stated)).toBe(actual);
      else expect(stated).toBe(String(actual));
    },
  );

  const inRange = {
    perDeviceTrainBatchSize: [1, 1024],
    numTrainEpochs: [0.5, 10],
    maxSteps: [-1, 1],
    learningRate: [0, 1],
    warmupSteps: [0, 0.1, 100],
    adamBeta1: [0, 0.99],
    maxGradNorm: [0, 5],
    loggingSteps: [0.05, 1, 36],
    evalSteps: [0.1, 71],
    lrSchedulerType: ["cosine", "inverse_sqrt"],
    lrSchedulerKwargs: [{}, { numCycles: 2 }],
    saveStrategy: ["no", "epoch"],
    saveSteps: [0.25, 1, 100],
    saveTotalLimit: [1, 5],
    evalDelay: [0, 0.5, 20],
    seed: [0, 2 ** 32 - 1],
  };
  test.each(Object.entries(inRange))("%s takes %j", (name, values) => {
    for (const value of values) expect(parseTrainingArguments({ [name]: value })).toMatchObject({ [name]: value });
  });

  const outOfRange = {
    perDeviceTrainBatchSize: [0, -8, 1.5, "8", null, Number.NaN],
    gradientAccumulationSteps: [0, 2.5],
    numTrainEpochs: [0, -1, Number.POSITIVE_INFINITY],
    maxSteps: [0, -2, 1.5],
    learningRate: [-1e-5, Number.NaN, "5e-5"],
    warmupRatio: [-0.1, 1.1],
    warmupSteps: [-1, 1.5],
    adamBeta2: [1, -0.1],
    maxGradNorm: [-1],
    loggingSteps: [0, 1.5, -3],
    evalSteps: [0, 2.5],
    evalStrategy: ["always", true],
    batchSampler: ["NO_DUPLICATES", ""],
    lrSchedulerType: ["cosin", "COSINE"],
    saveStrategy: ["best", false],
    saveSteps: [0, 1.5],
    saveTotalLimit: [0, -1, 1.5],
    loadBestModelAtEnd: ["true"],
    greaterIsBetter: [1],
    evalDelay: [-1],
    dataloaderDropLast: ["true", 1],
    seed: [-1, 2 ** 32, 0.5],
    outputDir: ["", 3],
  };
  test.each(Object.entries(outOfRange))("%s refuses %j, with name, value and what is allowed", (name, values) => {
    for (const value of values) {
      const error = errorOf({ [name]: value });
      expect(error.code).toBe("invalid-option");
      expect(error.facts).toMatchObject({ option: name, value });
      expect(error.message).toContain(
        `Training argument ${name} is ${typeof value === "string" ? JSON.stringify(value) : value}`,
      );
      expect(error.message).toContain("Default:");
    }
  });
});

describe("the best model", () => {
  const best = { loadBestModelAtEnd: true, evalStrategy: "steps", saveStrategy: "steps" } as const;

  test("is told by the loss, lower is better, unless a metric is named", () => {
    expect(parseTrainingArguments(best)).toMatchObject({ metricForBestModel: "loss", greaterIsBetter: false });
    expect(parseTrainingArguments({ ...best, metricForBestModel: "dev_cosine_ndcg@10" })).toMatchObject({
      metricForBestModel: "dev_cosine_ndcg@10",
      greaterIsBetter: true,
    });
    expect(parseTrainingArguments({ metricForBestModel: "eval_loss" })).toMatchObject({ greaterIsBetter: false });
    expect(parseTrainingArguments({ metricForBestModel: "eval_loss", greaterIsBetter: true }).greaterIsBetter).toBe(
      true,
    );
  });

  test.each([
    [
      { evalStrategy: "epoch" },
      'loadBestModelAtEnd needs every checkpoint to be evaluated, but evalStrategy is "epoch" and saveStrategy is "steps". Set both to "steps" or both to "epoch".',
    ],
    [
      { evalStrategy: "no", saveStrategy: "no" },
      'loadBestModelAtEnd needs evaluations and checkpoints, but evalStrategy and saveStrategy are "no". Set both to "steps" or both to "epoch".',
    ],
    [
      { evalSteps: 30, saveSteps: 100 },
      "loadBestModelAtEnd needs saveSteps to be a multiple of evalSteps, but evalSteps is 30 and saveSteps is 100. Set saveSteps to 120, for example.",
    ],
    [
      { loggingSteps: 7, saveSteps: 20 },
      "loadBestModelAtEnd needs saveSteps to be a multiple of evalSteps, but evalSteps is 7 (loggingSteps) and saveSteps is 20. Set saveSteps to 21, for example.",
    ],
    [
      { evalSteps: 0.1, saveSteps: 100 },
      "loadBestModelAtEnd needs saveSteps to be a multiple of evalSteps, but evalSteps is 0.1 and saveSteps is 100; a share of the run and a number of updates cannot be compared. Give both in the same way.",
    ],
    [
      { evalSteps: 0.1, saveSteps: 0.25 },
      "loadBestModelAtEnd needs saveSteps to be a multiple of evalSteps, but evalSteps is 0.1 and saveSteps is 0.25.",
    ],
  ])("%j is refused", (given, message) => {
    expect(errorOf({ ...best, ...given }).message).toBe(message);
  });

  test.each([[{ evalSteps: 0.1, saveSteps: 0.3 }], [{ evalSteps: 20, saveSteps: 60 }], [{ loggingSteps: 250 }]])(
    "%j is allowed",
    (given) => {
      expect(parseTrainingArguments({ ...best, ...given })).toMatchObject(given);
    },
  );
});

describe("unknown options", () => {
  test.each([
    ["per_device_train_batch_size", "perDeviceTrainBatchSize"],
    ["per-device-train-batch-size", "perDeviceTrainBatchSize"],
    ["warmupRatios", "warmupRatio"],
    ["learnigRate", "learningRate"],
    ["lr_scheduler_type", "lrSchedulerType"],
    ["numEpochs", "numTrainEpochs"],
  ])("%s is answered with %s", (given, meant) => {
    const error = errorOf({ [given]: 16 });
    expect(error.code).toBe("unknown-option");
    expect(error.facts).toMatchObject({ option: given, value: 16, closest: meant });
    expect(error.message).toContain(`${given} (given: 16)`);
    expect(error.message).toContain(`Did you mean ${meant}?`);
  });

  test("a name like none is answered with the list alone", () => {
    const error = errorOf({ deepspeed: "config.json" });
    expect(error.facts.closest).toBeUndefined();
    expect(error.message).not.toContain("Did you mean");
    expect(error.message).toContain("perDeviceTrainBatchSize");
  });

  test.each([[undefined], [null], [[]], ["x"], [3]])("%j is no object", (given) => {
    expect(errorOf(given).message).toMatch(/expected an object/);
  });
});

test("closestName finds a known name again after one edit, whatever its case", () => {
  const known = Object.keys(trainingArgumentsSchema.shape);
  fc.assert(
    fc.property(fc.constantFrom(...known), fc.nat(), fc.boolean(), (name, place, isUpper) => {
      const index = place % name.length;
      const misspelt = name.slice(0, index) + name.slice(index + 1);
      // adamBeta1 and adamBeta2 without their digit are equally near to both.
      fc.pre(misspelt !== "adamBeta");
      expect(closestName(isUpper ? misspelt.toUpperCase() : misspelt, known)).toBe(name);
    }),
  );
});
