import { formatSeconds } from "./number-format.ts";
import { styled, type Terminal } from "./terminal.ts";

/** Lines that stay, and below them, on a terminal, one line that is overwritten while something goes on. */
export class ProgressLine {
  readonly #terminal: Terminal;
  #isShown = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Shows a passing text, cut to the terminal's width. Elsewhere nothing is written. */
  show(text: string): void {
    this.#stopTimer();
    this.#draw(text);
  }

  /** Shows a passing text about something that takes a while, and behind it the seconds that pass. */
  wait(text: string): void {
    this.show(`${text} ...`);
    if (!this.#terminal.isInteractive) return;
    const started = Date.now();
    this.#timer = setInterval(
      () => this.#draw(`${text} ... ${formatSeconds(Math.round((Date.now() - started) / 1000))}`),
      1000,
    );
    // What is waited for keeps the process alive, not the text about it.
    this.#timer.unref();
  }

  #draw(text: string): void {
    if (!this.#terminal.isInteractive) return;
    // The last column stays free: a full line would wrap, and could not be overwritten.
    const cut = text.slice(0, Math.max(0, this.#terminal.columns() - 1));
    this.#terminal.write(`\r\u001b[2K${styled(this.#terminal, "dim", cut)}`);
    this.#isShown = true;
  }

  /** Removes the passing text. */
  clear(): void {
    this.#stopTimer();
    if (!this.#isShown) return;
    this.#terminal.write("\r\u001b[2K");
    this.#isShown = false;
  }

  /** Writes lines that stay. */
  write(text: string): void {
    this.clear();
    this.#terminal.write(`${text}\n`);
  }

  #stopTimer(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
