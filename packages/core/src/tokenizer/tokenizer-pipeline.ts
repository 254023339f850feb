import { Tokenizer as TokenizerOfPackage } from "@huggingface/tokenizers";
import type { JsonObject } from "../model-folder/read-json-file.ts";
import { createNormalizer } from "./normalizers.ts";
import { createPreTokenizer } from "./pre-tokenizers.ts";

/** The part of `@huggingface/tokenizers`' Tokenizer that is used here; its own declarations do not resolve under NodeNext. */
export type TokenizerPipeline = {
  normalizer: ((text: string) => string) | null;
  pre_tokenizer: ((text: string, options: { section_index: number }) => string[]) | null;
  post_processor: ((tokens: string[], pair: null, addSpecialTokens: boolean) => { tokens: string[] }) | null;
  readonly model: { encode(words: string[]): string[] };
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  token_to_id(token: string): number | undefined;
};

/** Words whose pieces are remembered; English text repeats most of its words within this many. */
const rememberedWords = 50_000;
/** Longest word that is remembered, in UTF-16 units. */
const rememberedLength = 64;

/**
 * Builds the package's tokenizer, which splits at added tokens and runs the vocabulary model, with own normalizer and
 * pre-tokenizer in it.
 *
 * @param json A tokenizer.json.
 * @throws ModelFolderError `unsupported-tokenizer`, or whatever the package throws at a vocabulary that it cannot use.
 */
export function createTokenizerPipeline(json: JsonObject): TokenizerPipeline {
  const normalizer = createNormalizer(json.normalizer);
  const added = ((json.added_tokens as JsonObject[] | undefined) ?? []).flatMap((token) => {
    const normalized = token.normalized && normalizer !== null ? normalizer(String(token.content)) : token.content;
    // Such a token is sought in normalized text, where it may look different from how it is written.
    return normalized === token.content ? [token] : [{ ...token, content: normalized }, token];
  });
  const preTokenizer = createPreTokenizer(json.pre_tokenizer);
  const pipeline = new TokenizerOfPackage(
    {
      post_processor: null,
      ...json,
      // Stands in for the own normalizer: with none at all, the package would seek every added token in the raw text.
      normalizer: normalizer === null ? null : { type: "Sequence", normalizers: [] },
      pre_tokenizer: null,
      decoder: null,
      added_tokens: added,
    },
    {},
  ) as unknown as TokenizerPipeline;
  pipeline.normalizer = normalizer;
  pipeline.pre_tokenizer = preTokenizer === null ? null : (text, options) => preTokenizer(text, options.section_index);
  // The package's BPE has such a memory itself.
  if ((json.model as JsonObject).type !== "BPE") rememberPieces(pipeline);
  return pipeline;
}

/** Lets the model remember the pieces of words: they do not depend on what stands around a word. */
function rememberPieces(pipeline: TokenizerPipeline): void {
  const encode = pipeline.model.encode.bind(pipeline.model);
  const known = new Map<string, readonly string[]>();
  pipeline.model.encode = (words) => {
    const pieces: string[] = [];
    for (const word of words) {
      let split = known.get(word);
      if (split === undefined) {
        split = encode([word]);
        if (word.length <= rememberedLength) {
          if (known.size >= rememberedWords) known.clear();
          known.set(word, split);
        }
      }
      for (const piece of split) pieces.push(piece);
    }
    return pieces;
  };
}
