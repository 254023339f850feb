import { expect, test } from "vitest";
import { readMemory, resetPeakMemory } from "./process-memory.ts";

test.runIf(process.platform === "linux")("the peak keeps what was freed, until it is reset", () => {
  const size = 300 * 2 ** 20;
  const before = readMemory();
  expect(before.resident).toBeGreaterThan(20 * 2 ** 20);
  let block: Uint8Array | undefined = new Uint8Array(size).fill(1);
  expect(readMemory().resident).toBeGreaterThan(before.resident + 0.9 * size);
  expect(block[size - 1]).toBe(1);
  expect(readMemory().peak).toBeGreaterThan(before.resident + 0.9 * size);
  // What resident memory is after the collection is the engine's business: the peak must not be below it.
  block = undefined;
  if (resetPeakMemory()) {
    const { peak, resident } = readMemory();
    expect(Math.abs(peak - resident)).toBeLessThan(50 * 2 ** 20);
  }
});
