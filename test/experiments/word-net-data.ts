import type { ExperimentData } from "./experiment.ts";

/** WordNet as a reverse dictionary: 500 definitions, each to find its entry among 5,000. */
export const wordNetData: ExperimentData = {
  source: "wordnet",
  documents: 5000,
  queries: 500,
  splitSeed: 12,
};

/** The same with an evaluation of a few seconds. */
export const quickWordNetData: ExperimentData = { ...wordNetData, documents: 300, queries: 60 };
