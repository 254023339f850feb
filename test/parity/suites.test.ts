import { shippedSuites } from "@gradbank/bridge";
import { describeSuites } from "./describe-suites.ts";

await describeSuites((await shippedSuites()).filter(({ name }) => name !== "minilm"));
