/** Hashes of texts, one array a column, and the sample of each row. */
export interface SampleTexts {
  readonly keys: readonly Float64Array[];
  readonly samples: Int32Array;
}

/**
 * Small numbers for texts that two samples share, so that a program can compare them. A text that no other sample
 * has gets a number that equals nothing on the other side.
 */
export interface TextNames {
  /** Names of rows' texts, one array a column. */
  rows(keys: readonly Float64Array[]): Int32Array[];
  /** Names of candidates' texts. */
  candidates(keys: readonly Float64Array[]): Int32Array[];
}

const [unnamedRow, unnamedCandidate] = [-1, -2];
const severalSamples = -1;

/**
 * Names the texts that stand on both sides in different samples.
 * @returns undefined when there is none: nothing needs to be compared.
 */
export function nameSharedTexts(left: SampleTexts, right: SampleTexts): TextNames | undefined {
  const [fewer, more] = left.samples.length < right.samples.length ? [left, right] : [right, left];
  const owners = new Map<number, number>();
  for (const column of fewer.keys)
    column.forEach((key, row) => {
      const sample = fewer.samples[row]!;
      const owner = owners.get(key);
      owners.set(key, owner === undefined || owner === sample ? sample : severalSamples);
    });
  const names = new Map<number, number>();
  for (const column of more.keys)
    column.forEach((key, row) => {
      const owner = owners.get(key);
      if (owner !== undefined && owner !== more.samples[row] && !names.has(key)) names.set(key, names.size);
    });
  if (names.size === 0) return undefined;
  const translate = (columns: readonly Float64Array[], unnamed: number) =>
    columns.map((column) => Int32Array.from(column, (key) => names.get(key) ?? unnamed));
  return {
    rows: (columns) => translate(columns, unnamedRow),
    candidates: (columns) => translate(columns, unnamedCandidate),
  };
}
