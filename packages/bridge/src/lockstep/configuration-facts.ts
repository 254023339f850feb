import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { decays, type Loss, type SentenceEncoder } from "@gradbank/core";
import type { UpdateArguments } from "./python-side.ts";
import type { ReferenceConfiguration } from "./reference-side.ts";

/** The Hugging Face Trainer's defaults. */
export const defaultUpdateArguments: Required<UpdateArguments> = {
  adamBeta1: 0.9,
  adamBeta2: 0.999,
  adamEpsilon: 1e-8,
  weightDecay: 0,
  maxGradNorm: 1,
};

/** Options that change no result and may differ. */
const withoutEffect = new Set(["mini_batch_size", "mini_batch_num_tokens", "gather_across_devices"]);

/** What our side is, by the names that python-ref gives the same facts. */
export function configurationFacts(
  encoder: SentenceEncoder,
  loss: Loss,
  options: { readonly arguments: Required<UpdateArguments>; readonly dropout: boolean },
): ReferenceConfiguration["facts"] {
  const { parameters, architecture, modules, folder } = encoder;
  const names = [...parameters].map(({ name }) => name).sort();
  const rate = (kind: "hidden" | "attention") =>
    architecture.dropoutSites.find((site) => site.kind === kind)?.rate ?? 0;
  const update = options.arguments;
  return {
    weights: weightsHash(encoder, names),
    parameters: parameters.count,
    parameter_names: hash(names.join("\n")),
    decayed: hash(names.filter(decays).join("\n")),
    tokenizer: hash(readFileSync(join(folder.transformer.folder, "tokenizer.json"))),
    vocabulary_size: parameters.get(architecture.names.wordEmbeddings).shape[0]!,
    max_sequence_length: encoder.maxSequenceLength,
    dimension: encoder.dimension,
    pooling: modules.pooling,
    normalize: modules.normalize,
    hidden_dropout: rate("hidden"),
    attention_dropout: rate("attention"),
    dropout: options.dropout,
    adam_beta1: update.adamBeta1,
    adam_beta2: update.adamBeta2,
    adam_epsilon: update.adamEpsilon,
    weight_decay: update.weightDecay,
    max_grad_norm: update.maxGradNorm,
    ...Object.fromEntries(
      Object.entries(loss.configuration)
        .filter(([name]) => name !== "bank" && !withoutEffect.has(name))
        .map(([name, value]) => [`loss.${name}`, value as string | number | null | string[]]),
    ),
  };
}

function weightsHash(encoder: SentenceEncoder, names: readonly string[]): string {
  const all = createHash("sha256");
  for (const name of names) {
    const { offset, size } = encoder.parameters.get(name);
    const { buffer, byteOffset } = encoder.parameters.data;
    all.update(name).update(new Uint8Array(buffer, byteOffset + 4 * offset, 4 * size));
  }
  return all.digest("hex");
}

function hash(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
