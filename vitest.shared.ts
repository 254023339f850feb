import type { ViteUserConfig } from "vitest/config";

/** Tests run on the packages' sources: the `@gradbank/source` export condition points at `src`. */
export const sourceConditions: ViteUserConfig = {
  ssr: { resolve: { conditions: ["@gradbank/source", "node", "import", "default"] } },
  resolve: { conditions: ["@gradbank/source", "node", "import", "default"] },
  test: { testTimeout: 120_000, hookTimeout: 300_000, pool: "forks", maxWorkers: 2 },
};
