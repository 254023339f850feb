/** A table's rows, the first of them its head. */
export type TableRows = readonly (readonly string[])[];

/**
 * Lays a table out for a terminal: the first column flush left, the others flush right, two spaces between columns, a
 * line below the head. Short rows end early.
 */
export function formatTable(rows: TableRows): string {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join("  ")
      .trimEnd(),
  );
  lines.splice(1, 0, widths.map((width) => "-".repeat(width)).join("  "));
  return lines.join("\n");
}
