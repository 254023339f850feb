/** What text is written to, and what it may contain. */
export interface Terminal {
  readonly write: (text: string) => void;
  /** Whether a line can be overwritten: a terminal, and no continuous integration. */
  readonly isInteractive: boolean;
  readonly isColored: boolean;
  /** Characters of a line, now: a window can change its size. */
  readonly columns: () => number;
}

/**
 * Describes where a stream leads.
 * @param environment `NO_COLOR` (https://no-color.org), `TERM=dumb` and `CI` make output plain.
 */
export function describeTerminal(
  stream: Pick<NodeJS.WriteStream, "isTTY" | "columns" | "write">,
  environment: Readonly<Record<string, string | undefined>>,
): Terminal {
  const isInteractive = stream.isTTY === true && environment.TERM !== "dumb" && !environment.CI;
  return {
    write: (text) => void stream.write(text),
    isInteractive,
    isColored: isInteractive && !environment.NO_COLOR,
    // Some terminals say that they have 0 columns.
    columns: () => stream.columns || 80,
  };
}

/** Ways to set a text off. */
export type TextStyle = "bold" | "dim" | "green" | "red";

const codes: Readonly<Record<TextStyle, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  green: [32, 39],
  red: [31, 39],
};

/** The text in a style, where the terminal has styles. */
export function styled(terminal: Terminal, style: TextStyle, text: string): string {
  const [on, off] = codes[style];
  return terminal.isColored ? `\u001b[${on}m${text}\u001b[${off}m` : text;
}
