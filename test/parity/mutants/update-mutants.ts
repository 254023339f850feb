import { type AdamW, createAdamW, decays, type Parameters, type SentenceEncoder } from "@gradbank/core";
import type { ResolvedCase } from "../../../packages/bridge/src/suite/resolved-case.ts";
import { intercept } from "./intercept.ts";
import type { Mutant, Seams } from "./mutant.ts";

/** An optimizer whose update does something else; `step` is the right update. */
type Update = (
  step: AdamW["step"],
  learningRate: number,
  gradientScale: number,
  context: { encoder: SentenceEncoder; optimizer: AdamW; settings: ResolvedCase },
) => void;

function faultyUpdate(update: Update): () => Seams {
  return () => ({
    optimizer: (encoder, settings) => {
      const optimizer = createAdamW(encoder, settings.arguments);
      intercept(
        optimizer,
        "step",
        (step) =>
          (learningRate, gradientScale = 1) =>
            update(step, learningRate, gradientScale, { encoder, optimizer, settings }),
      );
      return optimizer;
    },
  });
}

/** An optimizer with other options than the case says. */
function otherOptions(changes: Partial<ResolvedCase["arguments"]>): () => Seams {
  return () => ({
    optimizer: (encoder, settings) => createAdamW(encoder, { ...settings.arguments, ...changes }),
  });
}

/** Changes the norm that gradients are clipped by: the one place that reads all gradients outside the optimizer. */
function faultyNorm(seen: (gradients: Float32Array, parameters: Parameters) => Float32Array): () => Seams {
  let updating = false;
  return () => ({
    encoder: ({ parameters }) => {
      const gradients = parameters.gradients;
      intercept(parameters, "gradient", () => (name) => {
        const { offset, size } = parameters.get(name);
        return gradients.subarray(offset, offset + size);
      });
      Object.defineProperty(parameters, "gradients", {
        get: () => (updating ? gradients : seen(gradients, parameters)),
      });
    },
    optimizer: (encoder, settings) => {
      const optimizer = createAdamW(encoder, settings.arguments);
      intercept(optimizer, "step", (step) => (learningRate, gradientScale) => {
        updating = true;
        step(learningRate, gradientScale);
        updating = false;
      });
      return optimizer;
    },
  });
}

const freeRunning = { mode: "free-running" } as const;
const clipped = { arguments: { maxGradNorm: 0.1 } };
const query = "encoder.layer.0.attention.self.query.weight";

/** Bugs of clipping, AdamW and the schedule. */
export const updateMutants: readonly Mutant[] = [
  {
    name: "clip-norm-without-word-vectors",
    what: "The norm by which gradients are clipped leaves out the table of word vectors.",
    overrides: clipped,
    stages: ["clip-norm"],
    effectStep: 1,
    seams: faultyNorm((gradients, parameters) => {
      const { offset, size } = parameters.get("embeddings.word_embeddings.weight");
      return gradients.slice().fill(0, offset, offset + size);
    }),
  },
  {
    name: "clip-norm-without-biases",
    what: "The norm by which gradients are clipped leaves out the biases.",
    overrides: clipped,
    stages: ["clip-norm"],
    effectStep: 1,
    seams: faultyNorm((gradients, parameters) => {
      const seen = gradients.slice();
      for (const { name, offset, size } of parameters) if (name.endsWith("bias")) seen.fill(0, offset, offset + size);
      return seen;
    }),
  },
  {
    name: "clipped-twice",
    what: "Gradients are multiplied by the clip factor twice.",
    overrides: clipped,
    stages: ["moments"],
    effectStep: 1,
    seams: faultyUpdate((step, learningRate, scale) => step(learningRate, scale * scale)),
  },
  {
    name: "not-clipped",
    what: "Gradients are not clipped.",
    overrides: clipped,
    stages: ["moments"],
    effectStep: 1,
    seams: faultyUpdate((step, learningRate) => step(learningRate, 1)),
  },
  {
    name: "clip-epsilon-missing",
    what: "The clip factor lacks the 1e-6 that PyTorch adds to the norm.",
    // Gradients so small that 1e-6 shows.
    overrides: { loss: { scale: 0.02 }, arguments: { maxGradNorm: 1e-3 } },
    stages: ["moments"],
    effectStep: 1,
    seams: faultyUpdate((step, learningRate, scale, { settings }) => {
      const { maxGradNorm } = settings.arguments;
      const norm = maxGradNorm / scale - 1e-6;
      step(learningRate, Math.min(1, maxGradNorm / norm));
    }),
  },
  {
    name: "beta1",
    what: "beta1 is 0.899 instead of 0.9.",
    stages: ["moments"],
    effectStep: 1,
    seams: otherOptions({ adamBeta1: 0.899 }),
  },
  {
    name: "beta2",
    what: "beta2 is 0.99 instead of 0.999.",
    stages: ["moments"],
    effectStep: 1,
    seams: otherOptions({ adamBeta2: 0.99 }),
  },
  {
    name: "coupled-decay",
    what: "Weight decay is added to the gradient (L2) instead of taken from the weight.",
    stages: ["moments"],
    effectStep: 1,
    seams: () => ({
      optimizer: (encoder, settings) => {
        const { weightDecay } = settings.arguments;
        const optimizer = createAdamW(encoder, { ...settings.arguments, weightDecay: 0 });
        intercept(optimizer, "step", (step) => (learningRate, scale) => {
          for (const { name, data } of encoder.parameters)
            if (decays(name) && encoder.trainedParameters.has(name)) {
              const gradient = encoder.parameters.gradient(name);
              for (let index = 0; index < data.length; index++) gradient[index]! += weightDecay * data[index]!;
            }
          step(learningRate, scale);
        });
        return optimizer;
      },
    }),
  },
  {
    name: "moments-of-one-parameter-stale",
    what: "The first moments of one parameter are not updated.",
    stages: ["moments"],
    effectStep: 1,
    seams: faultyUpdate((step, learningRate, scale, { encoder, optimizer }) => {
      const { offset, size } = encoder.parameters.get(query);
      const before = optimizer.state.firstMoments.slice(offset, offset + size);
      step(learningRate, scale);
      optimizer.state.firstMoments.set(before, offset);
    }),
  },
  {
    name: "moments-forgotten",
    what: "The second moments begin with zero in every step.",
    stages: ["moments"],
    effectStep: 2,
    seams: faultyUpdate((step, learningRate, scale, { optimizer }) => {
      optimizer.state.secondMoments.fill(0);
      step(learningRate, scale);
    }),
  },
  {
    name: "second-moments-of-unclipped-gradients",
    what: "Second moments are those of gradients before clipping.",
    overrides: clipped,
    stages: ["moments"],
    effectStep: 1,
    seams: faultyUpdate((step, learningRate, scale, { encoder, optimizer, settings }) => {
      const beta2 = settings.arguments.adamBeta2;
      const before = optimizer.state.secondMoments.slice();
      step(learningRate, scale);
      const { gradients } = encoder.parameters;
      for (let index = 0; index < before.length; index++)
        optimizer.state.secondMoments[index] = beta2 * before[index]! + (1 - beta2) * gradients[index]! ** 2;
    }),
  },
  {
    name: "bias-correction-off",
    what: "Moments are not corrected for their start at zero.",
    stages: ["weights"],
    effectStep: 1,
    seams: faultyUpdate((step, learningRate, scale, { optimizer }) => {
      const { step: number } = optimizer.state;
      optimizer.restore({ ...optimizer.state, step: 1e7 });
      step(learningRate, scale);
      optimizer.restore({ ...optimizer.state, step: number + 1 });
    }),
  },
  {
    name: "bias-correction-one-step-off",
    what: "Bias correction counts one step too many.",
    stages: ["weights"],
    effectStep: 1,
    seams: faultyUpdate((step, learningRate, scale, { optimizer }) => {
      const { step: number } = optimizer.state;
      optimizer.restore({ ...optimizer.state, step: number + 1 });
      step(learningRate, scale);
      optimizer.restore({ ...optimizer.state, step: number + 1 });
    }),
  },
  {
    name: "epsilon",
    what: "AdamW's epsilon is 1e-6 instead of 1e-8.",
    stages: ["weights"],
    effectStep: 1,
    seams: otherOptions({ adamEpsilon: 1e-6 }),
  },
  {
    name: "no-decay",
    what: "No weight decays.",
    stages: ["weights"],
    effectStep: 1,
    seams: otherOptions({ weightDecay: 0 }),
  },
  {
    name: "decay-on-biases",
    what: "Biases and normalisations decay too.",
    overrides: { arguments: { weightDecay: 0.1 } },
    stages: ["weights"],
    effectStep: 1,
    seams: faultyUpdate((step, learningRate, scale, { encoder, settings }) => {
      for (const { name, data } of encoder.parameters)
        if (!decays(name) && encoder.trainedParameters.has(name))
          for (let index = 0; index < data.length; index++)
            data[index]! *= 1 - learningRate * settings.arguments.weightDecay;
      step(learningRate, scale);
    }),
  },
  {
    name: "decay-not-scaled-by-learning-rate",
    what: "Weights decay by the decay alone instead of learning rate times decay.",
    stages: ["weights"],
    effectStep: 1,
    seams: faultyUpdate((step, learningRate, scale, { encoder, settings }) => {
      for (const { name, data } of encoder.parameters)
        if (decays(name) && encoder.trainedParameters.has(name))
          for (let index = 0; index < data.length; index++) data[index]! *= 1 - settings.arguments.weightDecay;
      step(learningRate, scale);
    }),
  },
  {
    name: "decay-after-the-update",
    what: "Weights decay after the update instead of before it.",
    overrides: { arguments: { weightDecay: 0.1, learningRate: 0.01 } },
    stages: ["weights"],
    effectStep: 1,
    seams: () => ({
      optimizer: (encoder, settings) => {
        const { weightDecay } = settings.arguments;
        const optimizer = createAdamW(encoder, { ...settings.arguments, weightDecay: 0 });
        intercept(optimizer, "step", (step) => (learningRate, scale) => {
          step(learningRate, scale);
          for (const { name, data } of encoder.parameters)
            if (decays(name) && encoder.trainedParameters.has(name))
              for (let index = 0; index < data.length; index++) data[index]! *= 1 - learningRate * weightDecay;
        });
        return optimizer;
      },
    }),
  },
  {
    name: "learning-rate-late",
    what: "Each step uses the learning rate of the step before.",
    stages: ["weights"],
    effectStep: 2,
    seams: () => {
      let before: number | undefined;
      return faultyUpdate((step, learningRate, scale) => {
        step(before ?? learningRate, scale);
        before = learningRate;
      })();
    },
  },
  {
    name: "one-weight-not-updated",
    what: "One bias keeps its value.",
    stages: ["weights"],
    effectStep: 1,
    seams: faultyUpdate((step, learningRate, scale, { encoder }) => {
      const { data } = encoder.parameters.get("encoder.layer.1.attention.output.dense.bias");
      const before = data.slice();
      step(learningRate, scale);
      data.set(before);
    }),
  },
  {
    name: "bit-flipped",
    what: "One bit of one weight is flipped: the tenth of its mantissa, about 0.1 % of it.",
    stages: ["weights"],
    effectStep: 1,
    seams: faultyUpdate((step, learningRate, scale, { encoder }) => {
      step(learningRate, scale);
      const { data } = encoder.parameters.get(query);
      const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
      bits[17]! ^= 1 << 13;
    }),
  },
  {
    name: "free-running-learning-rate",
    what: "Running free: the learning rate is 1e-4 of itself too large.",
    overrides: freeRunning,
    stages: ["weights"],
    effectStep: 1,
    seams: faultyUpdate((step, learningRate, scale) => step(learningRate * 1.0001, scale)),
  },
  {
    name: "free-running-beta2",
    what: "Running free: beta2 is 0.9989 instead of 0.999.",
    overrides: freeRunning,
    stages: ["moments"],
    effectStep: 1,
    seams: otherOptions({ adamBeta2: 0.9989 }),
  },
  {
    name: "free-running-clip-norm",
    what: "Running free: the norm by which gradients are clipped leaves out one bias.",
    overrides: { ...freeRunning, ...clipped },
    stages: ["clip-norm"],
    effectStep: 1,
    seams: faultyNorm((gradients, parameters) => {
      const { offset, size } = parameters.get("encoder.layer.1.output.dense.bias");
      return gradients.slice().fill(0, offset, offset + size);
    }),
  },
  {
    name: "free-running-late-fault",
    what: "Running free: from the third step on, one weight is 1e-3 of itself too large after the update.",
    overrides: freeRunning,
    stages: ["weights"],
    effectStep: 3,
    seams: faultyUpdate((step, learningRate, scale, { encoder, optimizer }) => {
      step(learningRate, scale);
      if (optimizer.state.step >= 3) encoder.parameters.get(query).data[17]! *= 1.001;
    }),
  },
];
