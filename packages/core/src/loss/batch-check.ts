import { OptionError } from "../errors.ts";
import type { Batch } from "./loss.ts";

/**
 * Refuses batches that no ranking loss can take.
 * @returns the number of rows.
 * @throws OptionError "invalid-input".
 */
export function checkBatch(loss: string, { columns }: Batch): number {
  if (columns.length < 2)
    throw new OptionError(
      "invalid-input",
      `${loss} expected at least 2 columns (anchor, positive), got ${columns.length}. Add a column to the data set, or choose columns that hold pairs.`,
      { loss, columns: columns.length },
    );
  const counts = columns.map((column) => column.length);
  if (counts.some((count) => count !== counts[0]) || counts[0] === 0)
    throw new OptionError(
      "invalid-input",
      `${loss} expected columns of one length of at least 1, got ${counts.join(", ")} rows.`,
      { loss, rows: counts },
    );
  return counts[0]!;
}
