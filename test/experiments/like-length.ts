import { directArm, gradCacheArm, updateTimes } from "./equal-memory.ts";
import type { Experiment } from "./experiment.ts";

/**
 * Updates of the arms of equal-memory on texts of like length: cut at 8 tokens, most of them have as many, and no loss pads
 * more than another. What is left of the difference in time is the second forward pass.
 */
export const likeLength: Experiment = {
  name: "like-length",
  title: "Seconds of an update on texts of like length",
  maximumLength: 8,
  seeds: [1],
  arms: [
    {
      ...updateTimes,
      arms: [
        directArm("accumulation", "plain accumulation, 4 x 32"),
        directArm("bank-1024", "ContAccum 4 x 32, bank 1,024", { capacity: 1024 }),
        gradCacheArm("gradcache", "GradCache 128 in 32s"),
        gradCacheArm("gradcache-bank-1024", "GradCache 128 in 32s, bank 1,024", { capacity: 1024 }),
      ],
    },
  ],
  table: [
    { title: "update in turns, s", metric: "seconds", from: "update-times", digits: 2 },
    { title: "update / GradCache", metric: "ratio", from: "update-times", digits: 2 },
  ],
  figures: [],
  quick: {},
};
