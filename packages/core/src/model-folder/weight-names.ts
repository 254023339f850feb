/** Prefixes that a checkpoint may put before the names of the bare encoder: base model prefixes and wrappers. */
const prefixes = ["bert.", "roberta.", "mpnet.", "distilbert.", "auto_model.", "model.", "0."];

/** First components of what heads and losses add to an encoder. */
const heads = [
  "cls",
  "lm_head",
  "classifier",
  "pre_classifier",
  "qa_outputs",
  "vocab_transform",
  "vocab_layer_norm",
  "vocab_projector",
];

/** Names of layer-normalisation parameters in checkpoints that came from TensorFlow. */
const renamedSuffixes: readonly (readonly [string, string])[] = [
  [".LayerNorm.gamma", ".LayerNorm.weight"],
  [".LayerNorm.beta", ".LayerNorm.bias"],
];

/**
 * Maps the names of the bare encoder (`embeddings.word_embeddings.weight`) to the names in a checkpoint, which may be
 * those of a model with a head (`bert.embeddings.word_embeddings.weight`) or of a wrapper (`auto_model.` ...).
 *
 * A prefix is stripped when more than half of the names carry it, also several after one another; names without it then
 * belong to a head and are left out, as are known heads and the buffer `position_ids`. `LayerNorm.gamma` and `.beta`
 * become `.weight` and `.bias`.
 *
 * @param names Tensor names of a checkpoint.
 * @returns Name of the bare encoder -> name in the checkpoint. Where two names would become one, the first one stays.
 */
export function mapWeightNames(names: Iterable<string>): Map<string, string> {
  let current = [...names].map((name) => ({ name, original: name }));
  for (let prefix = commonPrefix(current); prefix !== undefined; prefix = commonPrefix(current)) {
    const length = prefix.length;
    const found = prefix;
    current = current
      .filter(({ name }) => name.startsWith(found))
      .map(({ name, original }) => ({ name: name.slice(length), original }));
  }
  const mapping = new Map<string, string>();
  for (const { name, original } of current) {
    if (heads.includes(name.split(".", 1)[0]!) || name.split(".").at(-1) === "position_ids") continue;
    const renamed = renamedSuffixes.find(([suffix]) => name.endsWith(suffix));
    const bare = renamed === undefined ? name : name.slice(0, -renamed[0].length) + renamed[1];
    if (!mapping.has(bare)) mapping.set(bare, original);
  }
  return mapping;
}

function commonPrefix(entries: readonly { readonly name: string }[]): string | undefined {
  return prefixes.find((prefix) => entries.filter(({ name }) => name.startsWith(prefix)).length * 2 > entries.length);
}
