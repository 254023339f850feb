import { describe, expect, it } from "vitest";
import { remainingSeconds } from "./remaining-time.ts";

describe("remainingSeconds", () => {
  it("expects an arm to take what it took, and a new one what runs took on average", () => {
    const finished = [
      { arm: "a", seconds: 10 },
      { arm: "a", seconds: 20 },
      { arm: "b", seconds: 60 },
    ];
    expect(remainingSeconds(finished, ["a", "b", "new"])).toBe(15 + 60 + 30);
  });

  it("goes by the run at hand for its own rest", () => {
    expect(remainingSeconds([], ["a"], { done: 0.25, seconds: 10 })).toBe(30);
    expect(remainingSeconds([{ arm: "a", seconds: 100 }], ["b", "a"], { done: 0.5, seconds: 20 })).toBe(20 + 100);
  });

  it("knows nothing before anything has run", () => {
    expect(remainingSeconds([], ["a", "b"])).toBeUndefined();
  });
});
