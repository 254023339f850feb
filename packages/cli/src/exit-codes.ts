/** What the process's exit status says. */
export const exitCodes = {
  /** All was done; or the run was stopped on request and its model saved. */
  done: 0,
  /** Something failed, or a comparison with Python was not equal. */
  failed: 1,
  /** The arguments cannot be used. */
  wrongUsage: 2,
  /** `gradbank parity` only: there was no comparison, so that nothing is known. */
  couldNotCompare: 2,
  /** Ended by a signal before anything was saved, or before all was compared. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
