// Text in columns.

/** Rows of cells with their columns under each other; `toTheRight` says which columns are numbers. */
export function aligned(rows: readonly (readonly string[])[], toTheRight: readonly boolean[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => (toTheRight[column] ? cell.padStart(widths[column]) : cell.padEnd(widths[column])))
      .join('  ')
      .trimEnd(),
  );
}
