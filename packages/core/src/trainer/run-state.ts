import { z } from "zod";
import { measured } from "./events.ts";

const count = z.int().min(0);
const sums = z.object({ loss: z.number(), updates: count });

/**
 * What `gradbank_state.json` of a checkpoint holds: where the run stands between two updates, and what the checkpoint's
 * files must be. Weights, moments and banks lie beside it as safetensors. Samplers and dropout have no state of their own:
 * their draws follow from the seed, the epoch, the batch and the number of forward passes.
 */
export const runStateSchema = z.object({
  version: z.literal(1),
  step: count.describe("Updates done."),
  epoch: z.number().min(0).describe("Passes over the data done, with a fraction."),
  position: z
    .object({
      epoch: count.describe("The pass, from 0."),
      batches: count.describe("Batches of this pass that are done."),
      isInside: z.boolean().describe("Whether the end of this pass, with what is due there, is still to come."),
    })
    .describe("Where in the sampler's batches the next update begins."),
  forwardPasses: count.describe("Batches of the whole run so far: each draws its own dropout masks."),
  total: sums.describe("Of the losses of all updates."),
  sinceLog: sums.describe("Of the losses since the last log entry."),
  evaluations: z.array(z.object({ step: count, metrics: z.record(z.string(), measured) })),
  logHistory: z.array(z.record(z.string(), measured)).describe("The Hugging Face Trainer's log entries so far."),
  best: z.object({ step: count, value: measured }).nullable().describe("The best evaluation so far."),
  bestCheckpoint: count.nullable().describe("Step of the checkpoint with the best evaluation."),
  savedSteps: z.array(count).describe("Steps of the run's checkpoints so far, this one too; some may be deleted."),
  isStoppedEarly: z.boolean().describe("Whether a callback made this the run's last update."),
  callbacks: z.array(z.object({ name: z.string(), state: z.unknown() })),
  identity: z.record(z.string(), z.unknown()).describe("What the run is made of."),
  files: z
    .record(z.string(), z.object({ bytes: count, sha256: z.string() }))
    .describe("Every other file of the checkpoint."),
});

export type RunState = z.output<typeof runStateSchema>;
