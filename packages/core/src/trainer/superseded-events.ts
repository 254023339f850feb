import type { TrainingEvent } from "./events.ts";

/**
 * The events of a run as if it had never been stopped. A resumed run appends to the same events.jsonl and repeats what
 * came after its checkpoint; this takes out what was written between the checkpoint and the `run-start` with
 * `resumedFrom`: updates that happen again, and how the earlier part ended. A `run-start` without `resumedFrom` begins a new
 * run: of what came before it, nothing stays.
 *
 * @param events in the order of the file.
 */
export function withoutSupersededEvents(events: readonly TrainingEvent[]): TrainingEvent[] {
  const kept: TrainingEvent[] = [];
  for (const event of events) {
    if (event.type === "run-start" && !event.resumedFrom) kept.length = 0;
    else if (event.type === "run-start" && event.resumedFrom) {
      const { step } = event.resumedFrom;
      const saved = kept.findLastIndex(
        (earlier) => earlier.type === "checkpoint-saved" && earlier.isResumable && earlier.step === step,
      );
      // Killed before it could say that the checkpoint was saved, a run has written nothing after it.
      const end = saved >= 0 ? saved + 1 : kept.findLastIndex((earlier) => earlier.step <= step) + 1;
      kept.length = end;
    }
    kept.push(event);
  }
  return kept;
}
