import { GradbankError } from "@gradbank/core";

/**
 * An error as a person reads it. What gradbank throws on purpose says by itself what to do and needs no stack; anything
 * else is a fault of gradbank's and is shown whole.
 */
export function describeError(error: unknown): string {
  if (GradbankError.isInstance(error)) return `Error (${error.code}): ${error.message}`;
  const shown = error instanceof Error ? (error.stack ?? `${error.name}: ${error.message}`) : String(error);
  return `${shown}\n\nThis is a fault in gradbank. Please open an issue in its repository, with the lines above and the command that you ran.`;
}
