import { shippedSuites } from "@gradbank/bridge";
import { describeSuites } from "./describe-suites.ts";

// In a file of its own, beside the other suites: two hundred steps of a real model take minutes.
await describeSuites((await shippedSuites()).filter(({ name }) => name === "minilm"));
