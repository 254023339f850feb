import { exitCodes } from "./exit-codes.ts";

/** Under npm one Ctrl-C can arrive twice: from the terminal and from npm. A later one means it. */
const sameSignalMilliseconds = 1000;

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A signal that asks the process to end. */
export type StopSignal = (typeof signals)[number];

export interface InterruptionOptions {
  /** Where signals come from. Default: this process. */
  readonly source?: Pick<NodeJS.EventEmitter, "on" | "off">;
  /** Ends the process. Default: process.exit. */
  readonly exit?: (code: number) => void;
  /** Milliseconds of a clock. Default: the process's. */
  readonly now?: () => number;
}

/**
 * Ctrl-C and its kin. The first signal asks the work at hand to come to a good end; another one, more than a second
 * later, ends the process at once with 130.
 */
export class Interruption {
  readonly #options: Required<InterruptionOptions>;
  readonly #listeners: ((signal: StopSignal) => void)[] = [];
  #first: { readonly signal: StopSignal; readonly time: number } | undefined;

  constructor(options: InterruptionOptions = {}) {
    this.#options = { source: process, exit: process.exit, now: () => performance.now(), ...options };
  }

  /** The signal that came first; undefined before one has come. */
  get signal(): StopSignal | undefined {
    return this.#first?.signal;
  }

  /** Calls `listener` on the first signal: at once if it has come already. */
  onRequest(listener: (signal: StopSignal) => void): void {
    if (this.#first) listener(this.#first.signal);
    else this.#listeners.push(listener);
  }

  /** Begins to listen; the process no longer ends on these signals by itself. */
  listen(): void {
    for (const signal of signals) this.#options.source.on(signal, this.#receive);
  }

  /** Leaves the signals to the process again. */
  close(): void {
    for (const signal of signals) this.#options.source.off(signal, this.#receive);
  }

  readonly #receive = (signal: StopSignal): void => {
    const time = this.#options.now();
    if (this.#first) {
      if (time - this.#first.time > sameSignalMilliseconds) this.#options.exit(exitCodes.interrupted);
      return;
    }
    this.#first = { signal, time };
    for (const listener of this.#listeners) listener(signal);
  };
}
